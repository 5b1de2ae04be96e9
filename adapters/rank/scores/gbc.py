"""GBC: how little the classes overlap, each a Gaussian. Pandy et al. 2022."""

import numpy as np

from adapters.rank.checks import labelled

DIMENSIONS = 64


def gbc(x: np.ndarray, y: np.ndarray) -> float:
    """Minus the Bhattacharyya coefficients of all ordered pairs of classes, features [n, d], labels [n].

    At most 0, higher is better; -C (C - 1) where all classes are the same. Eq. 1-3 with spherical covariances
    after PCA to 64 dimensions, the paper's default. Raises DataError.
    """
    x, y = labelled(x, y)
    x = principal(x, DIMENSIONS)
    groups = [x[y == label] for label in range(y.max() + 1)]
    means = np.stack([group.mean(axis=0) for group in groups])
    spread = np.array([group.var(axis=0, ddof=1).mean() for group in groups])
    spread = np.maximum(spread, np.finfo(np.float64).eps * x.var())
    between = ((means[:, None] - means[None, :]) ** 2).sum(axis=2)
    middle = (spread[:, None] + spread[None, :]) / 2
    distance = between / (8 * middle) + 0.5 * x.shape[1] * np.log(middle / np.sqrt(np.outer(spread, spread)))
    coefficients = np.exp(-distance)
    return float(np.trace(coefficients) - coefficients.sum())


def principal(x: np.ndarray, dimensions: int) -> np.ndarray:
    """The first principal components [n, k] of x [n, d], from the smaller Gram matrix; k <= dimensions."""
    x = x - x.mean(axis=0)
    if len(x) <= x.shape[1]:
        values, vectors = np.linalg.eigh(x @ x.T)
        return vectors[:, ::-1][:, :dimensions] * np.sqrt(np.maximum(values[::-1][:dimensions], 0.0))
    _, vectors = np.linalg.eigh(x.T @ x)
    return x @ vectors[:, ::-1][:, :dimensions]
