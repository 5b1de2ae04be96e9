"""CORAL distance: how differently the features of two domains vary together. Sun and Saenko 2016."""

import numpy as np

from adapters.rank.checks import pair


def coral(source: np.ndarray, target: np.ndarray) -> float:
    """|C_s - C_t|_F^2 / (4 d^2) (eq. 1) of features [n, d] and [m, d]; at least 0, in the features' fourth power.

    Raises DataError.
    """
    source, target = pair(source, target)
    return float(((_covariance(source) - _covariance(target)) ** 2).sum() / (4 * source.shape[1] ** 2))


def _covariance(x: np.ndarray) -> np.ndarray:
    x = x - x.mean(axis=0)
    return x.T @ x / (len(x) - 1)
