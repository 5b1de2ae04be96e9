"""LogME: how likely the labels are under a Bayesian linear model of the features. You et al. 2021."""

import numpy as np

from adapters.rank.checks import labelled

ROUNDS = 100
TOLERANCE = 1e-6


def logme(x: np.ndarray, y: np.ndarray) -> float:
    """Log maximum evidence an image, mean over one-against-all targets; features [n, d], labels [n].

    Higher is better; only differences between backbones on the same images mean something. alpha and beta
    solve the fixed point of algorithm 1 in the eigenbasis of the smaller Gram matrix, for all classes at
    once: O(n d min(n, d)). Raises DataError.
    """
    x, y = labelled(x, y)
    targets = np.eye(y.max() + 1)[y]
    values, shares = spectrum(x, targets)
    total = (targets**2).sum(axis=0)
    return float(evidence(values, shares**2, total, *x.shape).mean() / len(x))


def spectrum(x: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues [r] of x^T x above rounding, and U^T targets [r, K], U the left singular vectors [n, r]."""
    n, d = x.shape
    if n <= d:
        values, vectors = np.linalg.eigh(x @ x.T)
        kept = values > values[-1] * max(n, d) * np.finfo(np.float64).eps
        return values[kept], vectors[:, kept].T @ targets
    values, vectors = np.linalg.eigh(x.T @ x)
    kept = values > values[-1] * max(n, d) * np.finfo(np.float64).eps
    return values[kept], vectors[:, kept].T @ (x.T @ targets) / np.sqrt(values[kept])[:, None]


def evidence(values: np.ndarray, squares: np.ndarray, total: np.ndarray, n: int, d: int) -> np.ndarray:
    """Maximum log evidence [K] (eq. 2) from eigenvalues [r], (U^T y)^2 [r, K] and y^T y [K]."""
    outside = np.maximum(total - squares.sum(axis=0), 0.0)  # what no linear model of the features explains
    floor = total * np.finfo(np.float64).eps
    alpha, beta = np.ones_like(total), np.ones_like(total)
    for _ in range(ROUNDS):
        before = alpha / beta
        gamma, norm, residual = _moments(values, squares, before, outside)
        alpha = gamma / np.maximum(norm, floor)
        beta = np.maximum(n - gamma, floor) / np.maximum(residual, floor)
        if (np.abs(alpha / beta - before) <= TOLERANCE * before).all():
            break
    _, norm, residual = _moments(values, squares, alpha / beta, outside)
    logdet = np.log(alpha + beta * values[:, None]).sum(axis=0) + (d - len(values)) * np.log(alpha)
    fit = beta * residual + alpha * norm + logdet
    return 0.5 * (n * np.log(beta) + d * np.log(alpha) - n * np.log(2 * np.pi) - fit)


def _moments(
    values: np.ndarray, squares: np.ndarray, ratio: np.ndarray, outside: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """gamma, m^T m and |x m - y|^2, each [K], for alpha / beta = ratio [K]."""
    spread = values[:, None] + ratio
    gamma = (values[:, None] / spread).sum(axis=0)
    norm = (values[:, None] * squares / spread**2).sum(axis=0)
    residual = ((ratio / spread) ** 2 * squares).sum(axis=0) + outside
    return gamma, norm, residual
