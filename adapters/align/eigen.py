"""Eigenproblems of alignment, solved in the smaller of n and d with symmetric solvers: never a complex number."""

import numpy as np
import scipy.linalg


def principal_axes(x: np.ndarray, dim: int) -> np.ndarray:
    """The first `dim` principal axes [d, k] of x [n, d] about its mean, k = min(dim, n - 1, d)."""
    centred = x - x.mean(axis=0)
    n, d = centred.shape
    k = min(dim, n - 1, d)
    if n >= d:
        return _top(centred.T @ centred, k)[1]
    values, vectors = _top(centred @ centred.T, k)
    return centred.T @ (vectors / np.sqrt(np.maximum(values, 1e-12)))


def smallest_generalized(a: np.ndarray, b: np.ndarray, dim: int) -> np.ndarray:
    """The vectors w of the `dim` smallest a w = phi b w, a symmetric positive definite, b semidefinite.

    Solved as the largest of b w = (1 / phi) a w, so that b may be singular; w is scaled to w^T b w = 1.
    """
    n = len(a)
    k = min(dim, n)
    values, vectors = scipy.linalg.eigh(b, a, subset_by_index=[n - k, n - 1])
    values, vectors = values[::-1], vectors[:, ::-1]
    keep = values > max(values[0], 0.0) * 1e-10
    return fix_signs(vectors[:, keep] / np.sqrt(values[keep]))


def linear_kernel_basis(x: np.ndarray) -> np.ndarray:
    """B [d, r] that turns a problem in coefficients of the linear kernel K = x x^T into one in features.

    With x = U S V^T, coefficients A = U C and B = V S: K A = (x B) C and |A| = |C|. So a penalty on the
    coefficients of all n samples is one on C, of which there are min(n, d) at most.
    """
    n, d = x.shape
    if n >= d:
        values, vectors = scipy.linalg.eigh(x.T @ x)
        keep = values > values[-1] * 1e-10
        return vectors[:, keep] * np.sqrt(values[keep])
    values, vectors = scipy.linalg.eigh(x @ x.T)
    keep = values > values[-1] * 1e-10
    return x.T @ vectors[:, keep]


def fix_signs(vectors: np.ndarray) -> np.ndarray:
    """Columns with their largest entry positive: the same on every machine."""
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])]
    return vectors * np.where(largest < 0, -1.0, 1.0)


def _top(matrix: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    n = len(matrix)
    values, vectors = scipy.linalg.eigh(matrix, subset_by_index=[n - k, n - 1])
    return values[::-1], fix_signs(vectors[:, ::-1])
