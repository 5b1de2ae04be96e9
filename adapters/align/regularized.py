"""A classifier in a kernel's space, held by the distribution gap and the data manifold: what ARTL and MEDA solve."""

import numpy as np
import scipy.linalg
import scipy.sparse as sparse
from pydantic import Field

from adapters.align.balance import balance
from adapters.align.base import AlignParams
from adapters.align.classifiers import Classifier, make_classifier, softmax
from adapters.align.kernels import Kernel, median_gamma, nystrom
from adapters.align.mmd import class_vectors, marginal_vector
from adapters.align.normalize import unit_rows
from adapters.align.stored import Arrays

EXACT = 3000  # samples up to which the kernel matrix is solved exactly
ANCHORS = 1000


class RegularizedParams(AlignParams):
    gap: float = Field(10.0, ge=0, le=1e6, description="weight of the distribution gap (lambda)")
    manifold: float = Field(1.0, ge=0, le=1e6, description="weight of the graph Laplacian (rho, gamma)")
    ridge: float = Field(0.1, gt=0, le=1e6, description="weight of the classifier's norm (eta, sigma)")
    neighbours: int = Field(10, ge=1, le=200, description="neighbours a sample has in the graph")
    iterations: int = Field(10, ge=1, le=200, description="rounds of pseudo-labels at most")
    gamma: float = Field(0.0, ge=0, le=1e6, description="kernel width; 0 takes 1 / median squared distance")
    seed: int = Field(0, ge=0, description="chooses the anchors of a large problem")


class KernelClassifier(Classifier, kind="kernel"):
    """Scores k(x, anchors) B + b."""

    def __init__(self, anchors: np.ndarray, coefficients: np.ndarray, kernel: Kernel, sharp: float = 5.0) -> None:
        self.anchors, self.coefficients, self.kernel, self.sharp = anchors, coefficients, kernel, sharp

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        return softmax(self.sharp * (self.kernel(x, self.anchors) @ self.coefficients))

    def arrays(self) -> Arrays:
        return {"anchors": self.anchors, "coefficients": self.coefficients, "kernel": self.kernel.array()}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "KernelClassifier":
        return cls(arrays["anchors"], arrays["coefficients"], Kernel.restore(arrays["kernel"]))


def solve(
    xs: np.ndarray,
    ys: np.ndarray,
    xt: np.ndarray,
    classes: int,
    params: RegularizedParams,
    mu: float | None,
    guess: str,
) -> tuple[KernelClassifier, str]:
    """The classifier and a note on what was approximated.

    Minimises sum_source |y - f|^2 + ridge |f|_K^2 + tr(F^T (gap M + manifold L) F) over f in the kernel's
    space, F [n + m, C] its values; M = (1 - mu) M0 + mu sum_c Mc by pseudo-labels that improve, M at
    Frobenius norm 1; mu None estimates it. `guess` names the classifier of the first pseudo-labels.
    """
    x, n = np.concatenate([xs, xt]), len(xs)
    kernel = Kernel("rbf", params.gamma or median_gamma(x, params.seed))
    aims = np.zeros((len(x), classes))
    aims[np.arange(n), ys] = 1.0
    is_source = np.repeat([1.0, 0.0], [n, len(xt)])
    base = params.manifold * laplacian(x, params.neighbours) + sparse.diags(is_source)
    exact = len(x) <= EXACT
    anchors, back = (x, None) if exact else nystrom(x, kernel, ANCHORS, params.seed)
    features = kernel(x, anchors) if exact else kernel(x, anchors) @ back
    fixed = base @ features if exact else features.T @ (base @ features)
    fixed[np.diag_indices_from(fixed)] += params.ridge
    guesses = make_classifier(guess).fit(xs, ys, classes).predict_proba(xt).argmax(axis=1)
    weight = mu
    for _ in range(params.iterations):
        if mu is None:
            weight = balance(xs, ys, xt, guesses, classes)
        factors = _factors(n, ys, guesses, classes, float(weight))
        moved = features.T @ factors
        if exact:  # (A + gap M + manifold L) K + ridge I
            solution = np.linalg.solve(fixed + (params.gap * factors) @ moved.T, aims)
        else:
            solution = scipy.linalg.solve(fixed + params.gap * moved @ moved.T, features.T @ aims, assume_a="pos")
        now = (features[n:] @ solution).argmax(axis=1)
        if np.array_equal(now, guesses):
            break
        guesses = now
    note = "" if exact else f"kernel approximated by {ANCHORS} Nystrom anchors (seed {params.seed}): {len(x)} samples"
    return KernelClassifier(anchors, solution if exact else back @ solution, kernel), note


def _factors(n: int, ys: np.ndarray, guesses: np.ndarray, classes: int, mu: float) -> np.ndarray:
    """F [n + m, k] with M = F F^T at Frobenius norm 1."""
    columns = class_vectors(ys, guesses, classes)
    marginal = marginal_vector(n, len(guesses))[:, None] * np.sqrt(classes * max(1.0 - mu, 0.0))
    factors = np.concatenate([marginal, columns * np.sqrt(mu)], axis=1)
    norm = np.linalg.norm(factors.T @ factors)
    return factors / np.sqrt(norm) if norm > 0 else factors


def laplacian(x: np.ndarray, neighbours: int, rows: int = 2000) -> sparse.csr_matrix:
    """The normalised Laplacian I - D^(-1/2) W D^(-1/2) of the graph of nearest neighbours, W their cosines."""
    x = unit_rows(x)
    count = len(x)
    k = min(neighbours, count - 1)
    places, values = [], []
    for start in range(0, count, rows):
        similar = x[start : start + rows] @ x.T
        similar[np.arange(len(similar)), np.arange(start, start + len(similar))] = -np.inf
        near = np.argpartition(-similar, k - 1, axis=1)[:, :k]
        places.append(near)
        values.append(np.take_along_axis(similar, near, axis=1))
    columns, weights = np.concatenate(places).ravel(), np.maximum(np.concatenate(values).ravel(), 0.0)
    graph = sparse.csr_matrix((weights, (np.repeat(np.arange(count), k), columns)), shape=(count, count))
    graph = graph.maximum(graph.T)
    degree = np.asarray(graph.sum(axis=1)).ravel()
    scale = sparse.diags(1.0 / np.sqrt(np.where(degree > 1e-12, degree, 1.0)))
    return (sparse.identity(count) - scale @ graph @ scale).tocsr()
