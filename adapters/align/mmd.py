"""Maximum mean discrepancy as a quadratic form tr(X^T M X), kept as thin factors instead of an n x n matrix."""

import numpy as np


def marginal_vector(n: int, m: int) -> np.ndarray:
    """e [n + m] with M0 = e e^T: 1/n for source rows, -1/m for target rows. Pan et al. 2011, eq. 2."""
    return np.concatenate([np.full(n, 1.0 / n), np.full(m, -1.0 / m)])


def class_vectors(ys: np.ndarray, guesses: np.ndarray, classes: int) -> np.ndarray:
    """Columns e_c [n + m, C'] with Mc = e_c e_c^T over the classes that both sides have. Long et al. 2013, eq. 6."""
    columns = []
    for label in range(classes):
        source, target = (ys == label).astype(float), (guesses == label).astype(float)
        if source.any() and target.any():
            columns.append(np.concatenate([source / source.sum(), -target / target.sum()]))
    return np.stack(columns, axis=1) if columns else np.zeros((len(ys) + len(guesses), 0))


def frobenius(factors: np.ndarray, weights: np.ndarray) -> float:
    """|sum_i w_i f_i f_i^T|_F from the factors [n, k]: no n x n matrix is made."""
    gram = factors.T @ factors
    return float(np.sqrt(max((weights[:, None] * weights[None, :] * gram**2).sum(), 0.0)))


def mmd_squared(x: np.ndarray, y: np.ndarray) -> float:
    """Squared distance of the two means: MMD with the linear kernel."""
    gap = x.mean(axis=0) - y.mean(axis=0)
    return float(gap @ gap)
