"""TransRate: how many bits features take, less what they take once the class is known. Huang et al. 2022."""

import numpy as np

from adapters.rank.checks import labelled

DISTORTION = 1e-4


def transrate(x: np.ndarray, y: np.ndarray, distortion: float = DISTORTION) -> float:
    """R(Z) - R(Z | Y) in nats for features [n, d], labels [n]; at least 0, higher is better.

    R(Z) = 1/2 logdet(I + Z^T Z / (n distortion)), R(Z | Y) its mean over classes weighted by size. Features are
    centred and scaled to a total variance of 1, so that the distortion means the same for every backbone.
    Determinants are taken in the smaller of n and d. Where classes have fewer images than features have dimensions,
    it measures these counts more than the classes. Raises DataError.
    """
    x, y = labelled(x, y)
    x = x - x.mean(axis=0)
    x /= np.sqrt((x**2).sum() / len(x))
    groups = [x[y == label] for label in range(y.max() + 1)]
    inside = sum(len(group) / len(x) * _rate(group, distortion) for group in groups)
    return float(_rate(x, distortion) - inside)


def _rate(z: np.ndarray, distortion: float) -> float:
    gram = z.T @ z if len(z) > z.shape[1] else z @ z.T
    return 0.5 * np.linalg.slogdet(np.eye(len(gram)) + gram / (len(z) * distortion))[1]
