"""H-score: spread of the class means in units of the features' own spread. Bao et al. 2019."""

import numpy as np
from sklearn.covariance import ledoit_wolf_shrinkage

from adapters.rank.checks import labelled


def h_score(x: np.ndarray, y: np.ndarray) -> float:
    """tr(S_a^-1 (1 - a) S_b) for features [n, d], labels [n]; 0 to C - 1, higher is better.

    S_b is the covariance of the class means, S_a the covariance shrunk towards a multiple of the identity by
    Ledoit and Wolf's a, as Ibrahim et al. 2021 (eq. 6) do: without it the score only measures d where d is not
    far below n. Solved in the smaller of n and d. Raises DataError.
    """
    x, y = labelled(x, y)
    x = x - x.mean(axis=0)
    n, d = x.shape
    shrinkage = ledoit_wolf_shrinkage(x, assume_centered=True)
    ridge = max(shrinkage, np.finfo(np.float64).eps) * (x**2).sum() / n / d
    counts = np.bincount(y)
    means = np.stack([x[y == label].mean(axis=0) for label in range(len(counts))]) * np.sqrt(counts / n)[:, None]
    solved = _solve(x * np.sqrt((1 - shrinkage) / n), ridge, means.T)
    return float((1 - shrinkage) * (means.T * solved).sum())


def _solve(a: np.ndarray, ridge: float, b: np.ndarray) -> np.ndarray:
    """(a^T a + ridge I)^-1 b for a [n, d], b [d, k], by Woodbury where n < d."""
    n, d = a.shape
    if n >= d:
        return np.linalg.solve(a.T @ a + ridge * np.eye(d), b)
    return (b - a.T @ np.linalg.solve(a @ a.T + ridge * np.eye(n), a @ b)) / ridge
