"""Eigenproblems of alignment, solved in the smaller of n and d with symmetric solvers: never a complex number."""

import contextlib

import numpy as np
import scipy.linalg
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from adapters.align.threads import suited_to

LARGE = 300  # rows from which a few eigenvectors are found by Lanczos iterations
CLOSE = 1e-10  # relative error of an eigenvalue at which the iterations end
TINY = 1e-10  # of the largest eigenvalue: below, a direction holds nothing


def symmetric(a: np.ndarray | LinearOperator, largest: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, falling, and eigenvectors of a symmetric matrix or operator; the `largest` ones, or all."""
    n = a.shape[0]
    if largest is not None and n >= LARGE and largest <= n // 8:
        with contextlib.suppress(ArpackNoConvergence), suited_to(n, n):
            start = np.random.default_rng(0).standard_normal(n)
            values, vectors = eigsh(a, largest, v0=start, ncv=min(n, max(2 * largest + 1, 60)), tol=CLOSE)
            return values[::-1], fix_signs(vectors[:, ::-1])
    dense = a @ np.eye(n) if isinstance(a, LinearOperator) else a
    values, vectors = scipy.linalg.eigh(dense, driver="evd", check_finite=False)
    if largest is not None:
        values, vectors = values[max(0, n - largest) :], vectors[:, max(0, n - largest) :]
    return values[::-1], fix_signs(vectors[:, ::-1])


def power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    """A power of a symmetric positive definite matrix."""
    values, vectors = symmetric(matrix)
    return (vectors * np.maximum(values, 1e-12) ** exponent) @ vectors.T


def principal_axes(x: np.ndarray, dim: int) -> np.ndarray:
    """The first `dim` principal axes [d, k] of x [n, d] about its mean, k = min(dim, rank)."""
    centred = x - x.mean(axis=0)
    n, d = centred.shape
    k = min(dim, n - 1, d)
    if n >= d:
        values, vectors = symmetric(centred.T @ centred, k)
        return vectors[:, values > values[0] * TINY]
    values, vectors = symmetric(centred @ centred.T, k)
    keep = values > values[0] * TINY
    return fix_signs(centred.T @ (vectors[:, keep] / np.sqrt(values[keep])))


def largest_generalized(b: np.ndarray, a: np.ndarray, dim: int) -> np.ndarray:
    """The vectors w of the `dim` largest b w = theta a w, a positive definite, b semidefinite, with w^T a w = 1.

    These are the smallest of a w = phi b w: written this way round b may be singular. With w^T a w = 1 a direction has
    the variance w^T b w = theta, so that it weighs by what it is worth; with w^T b w = 1 directions of noise would
    weigh as much as those of signal, and more dimensions would make neighbours worse.
    """
    chol = scipy.linalg.cholesky(a, lower=True)
    half = scipy.linalg.solve_triangular(chol, b, lower=True)
    whitened = scipy.linalg.solve_triangular(chol, half.T, lower=True)
    values, vectors = symmetric((whitened + whitened.T) / 2, min(dim, len(a)))
    keep = values > max(values[0], 0.0) * TINY
    return fix_signs(scipy.linalg.solve_triangular(chol.T, vectors[:, keep]))


def largest_over_ridge(b: np.ndarray, factors: np.ndarray, ridge: float, dim: int) -> np.ndarray:
    """As `largest_generalized` where a = ridge I + factors factors^T, factors [n, k], k small.

    a^(-1/2) is then known from the SVD of the factors, so that nothing of size n is factorised or made.
    """
    left, scale, _ = scipy.linalg.svd(factors, full_matrices=False)
    change = (ridge + scale**2) ** -0.5 - ridge**-0.5
    symv = scipy.linalg.get_blas_funcs("symv", (b,))

    def halved(x: np.ndarray) -> np.ndarray:
        return ridge**-0.5 * x + (left * change) @ (left.T @ x)

    def whitened(x: np.ndarray) -> np.ndarray:  # one triangle of b is read: memory is what a product waits for
        return halved(symv(1.0, b.T, halved(x), lower=True))

    operator = LinearOperator(b.shape, dtype=b.dtype, matvec=whitened, matmat=lambda x: halved(b @ halved(x)))
    values, vectors = symmetric(operator, min(dim, len(b)))
    keep = values > max(values[0], 0.0) * TINY
    return fix_signs(halved(vectors[:, keep]))


def linear_kernel_basis(x: np.ndarray) -> np.ndarray:
    """B [d, r] that turns a problem in coefficients of the linear kernel K = x x^T into one in features.

    With x = U S V^T, coefficients A = U C and B = V S: K A = (x B) C and |A| = |C|. So a penalty on the
    coefficients of all n samples is one on C, of which there are min(n, d) at most.
    """
    n, d = x.shape
    values, vectors = symmetric(x.T @ x if n >= d else x @ x.T)
    keep = values > values[0] * TINY
    return vectors[:, keep] * np.sqrt(values[keep]) if n >= d else x.T @ vectors[:, keep]


def span(x: np.ndarray) -> np.ndarray:
    """An orthonormal basis [d, r] of the rows of x [n, d] where n < d, else the identity."""
    n, d = x.shape
    return scipy.linalg.orth(x.T) if n < d else np.eye(d)


def fix_signs(vectors: np.ndarray) -> np.ndarray:
    """Columns with their largest entry positive: the same on every machine."""
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])]
    return vectors * np.where(largest < 0, -1.0, 1.0)
