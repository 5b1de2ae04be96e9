"""NCE: negative conditional entropy of the labels given the network's source class. Tran et al. 2019."""

import numpy as np

from adapters.rank.checks import posteriors


def nce(theta: np.ndarray, y: np.ndarray) -> float:
    """-H(Y | Z) in nats for labels [n], Z the likeliest of the source classes [n, Z]; at most 0, higher is better.

    Eq. 4-5. Raises DataError.
    """
    theta, y = posteriors(theta, y)
    joint = np.zeros((y.max() + 1, theta.shape[1]))
    np.add.at(joint, (y, theta.argmax(axis=1)), 1.0 / len(y))
    given = joint / np.maximum(joint.sum(axis=0), np.finfo(np.float64).tiny)
    seen = joint > 0
    return float((joint[seen] * np.log(given[seen])).sum())
