"""LEEP: how well labels follow from the source classes that a network sees in the images. Nguyen et al. 2020."""

import numpy as np

from adapters.rank.checks import posteriors


def leep(theta: np.ndarray, y: np.ndarray) -> float:
    """Mean log likelihood of labels [n] through source-class probabilities [n, Z]; at most 0, higher is better.

    Eq. 1-2: P(y | z) is counted softly, then averaged over z by the image's own probabilities. With a Gaussian
    mixture's responsibilities in place of theta it is N-LEEP (Li et al. 2021). Raises DataError.
    """
    theta, y = posteriors(theta, y)
    joint = np.eye(y.max() + 1)[y].T @ theta / len(y)  # P(y, z) [C, Z]
    given = joint / np.maximum(joint.sum(axis=0), np.finfo(np.float64).tiny)
    return float(np.log((given[y] * theta).sum(axis=1)).mean())
