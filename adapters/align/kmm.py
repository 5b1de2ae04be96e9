"""Kernel mean matching: weights that bring the source's kernel mean onto the target's."""

import math
from collections.abc import Callable

import numpy as np
from pydantic import Field

from adapters.align.kernels import Kernel, median_gamma, nystrom
from adapters.align.threads import suited_to
from adapters.align.weighting import Reweighter, WeightParams, chunks
from studio.core.registry import register

EXACT = 5000  # source samples up to which the kernel matrix is made
ANCHORS = 500  # of the Nystrom approximation beyond


class KmmParams(WeightParams):
    gamma: float = Field(0.0, ge=0, le=1e6, description="kernel width; 0 takes 1 / median squared distance")
    bound: float = Field(1000.0, gt=0, le=1e9, description="largest weight (B)")
    slack: float = Field(-1.0, ge=-1, le=1e3, description="how far the mean may leave 1; -1 takes 1 - 1 / sqrt(n)")
    iterations: int = Field(2000, ge=1, le=100000, description="steps of the solver at most")
    tolerance: float = Field(
        1e-7, gt=0, le=1, description="relative change of the objective in a step at which it ends"
    )
    seed: int = Field(0, ge=0, description="chooses the anchors of a large problem")


@register("align/kmm")
class KernelMeanMatching(Reweighter):
    """min_b b^T K b / 2 - kappa^T b, 0 <= b <= B, |sum b - n| <= n slack. Huang et al. 2006, eq. 12.

    K [n, n] is an RBF kernel of the source and kappa_i = n/m sum_j k(x_i, t_j). Solved by projected gradients
    with Nesterov's momentum; beyond 5000 source samples K is a Nystrom approximation, said so in `note`.
    """

    title = "Kernel mean matching"
    paper = "Huang et al. 2006, Correcting Sample Selection Bias by Unlabeled Data"
    formula = (
        r"\min_\beta \; \Big\lVert \frac{1}{n}\sum_i \beta_i \phi(x^s_i) - "
        r"\frac{1}{m}\sum_j \phi(x^t_j) \Big\rVert^2, \quad 0 \le \beta_i \le B"
    )
    Params = KmmParams

    def weights(self, xs: np.ndarray, xt: np.ndarray) -> np.ndarray:
        p, n = self.params, len(xs)
        kernel = Kernel("rbf", p.gamma or median_gamma(np.concatenate([xs[:500], xt[:500]])))
        slack = p.slack if p.slack >= 0 else 1.0 - 1.0 / np.sqrt(n)
        if n <= EXACT:
            middle = xs.mean(axis=0)  # distances of centred samples keep their digits in float32
            xs, xt = (np.subtract(x, middle, out=np.empty(x.shape, np.float32)) for x in (xs, xt))
            matrix = kernel(xs, xs)
            kappa = (n / len(xt) * kernel_sums(kernel, xs, xt)).astype(np.float32)
            product: Callable[[np.ndarray], np.ndarray] = matrix.__matmul__
        else:
            self.note = f"kernel approximated by {ANCHORS} Nystrom anchors (seed {p.seed}): {n} source samples"
            anchors, basis = nystrom(xs, kernel, ANCHORS, p.seed)
            features = np.empty((n, basis.shape[1]), np.float32)
            for block in chunks(n, xs.shape[1]):  # distances copy what they are given
                features[block] = kernel(xs[block], anchors) @ basis
            kappa = features @ (n / len(xt) * kernel_sums(kernel, anchors, xt) @ basis).astype(np.float32)

            def product(b: np.ndarray) -> np.ndarray:
                return features @ (b @ features)

        with suited_to(n, n if n <= EXACT else ANCHORS):
            return box_slab_qp(product, kappa, p.bound, n * (1 - slack), n * (1 + slack), p.iterations, p.tolerance)


def kernel_sums(kernel: Kernel, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """sum_j k(x_i, y_j) [n], a block of y at a time."""
    total = np.zeros(len(x))
    for block in chunks(len(y), max(len(x), y.shape[1])):
        values = kernel(x, y[block])
        total += values @ np.ones(values.shape[1], values.dtype)
    return total


def box_slab_qp(
    product: Callable[[np.ndarray], np.ndarray],
    kappa: np.ndarray,
    upper: float,
    low: float,
    high: float,
    iterations: int,
    tolerance: float,
) -> np.ndarray:
    """min_b b^T K b / 2 - kappa^T b with 0 <= b <= upper and low <= sum b <= high; `product(b)` is K b.

    Accelerated projected gradients, started anew where momentum points uphill (O'Donoghue and Candes 2015).
    """
    n = len(kappa)
    step = 1.0 / largest_eigenvalue(product, n, kappa.dtype)
    best = project(np.ones(n, kappa.dtype), upper, low, high)
    slope_best = product(best)
    ahead, slope, t, quiet = best, slope_best, 1.0, 0
    value = best @ (0.5 * slope_best - kappa)
    for _ in range(iterations):
        moved = project(ahead - step * (slope - kappa), upper, low, high)
        slope_moved = product(moved)
        new = moved @ (0.5 * slope_moved - kappa)
        if (ahead - moved) @ (moved - best) > 0:
            t = 1.0
        following = (1 + math.sqrt(1 + 4 * t * t)) / 2  # a Python float keeps float32 what is
        momentum, t = (t - 1) / following, following
        ahead, slope = moved + momentum * (moved - best), slope_moved + momentum * (slope_moved - slope_best)
        best, slope_best = moved, slope_moved
        quiet = quiet + 1 if abs(value - new) <= tolerance * abs(new) else 0
        value = new
        if quiet == 5:
            break
    return best


def largest_eigenvalue(product: Callable[[np.ndarray], np.ndarray], n: int, dtype: np.dtype) -> float:
    """Of a kernel matrix K, from above: max_i (K v)_i / v_i for any v > 0, nearer with each power of K in v.

    Collatz and Wielandt, for matrices without negative entries; raised a little for Nystrom's, which have small ones.
    """
    v = np.ones(n, dtype)
    for _ in range(5):
        moved = product(v)
        bound = float((moved / v).max())
        v = np.maximum(moved / moved.max(), 1e-6).astype(dtype)
    return 1.02 * bound


def project(b: np.ndarray, upper: float, low: float, high: float) -> np.ndarray:
    """The nearest point with 0 <= b <= upper and low <= sum b <= high: clip(b - tau), tau by bisection."""
    clipped = np.clip(b, 0, upper)
    total = clipped.sum(dtype=np.float64)
    if low <= total <= high:
        return clipped
    wanted = low if total < low else high
    wanted = min(wanted, upper * len(b))
    left, right = float(b.min()) - upper, float(b.max())
    for _ in range(60):
        tau = (left + right) / 2
        if np.clip(b - tau, 0, upper).sum(dtype=np.float64) > wanted:
            left = tau
        else:
            right = tau
    return np.clip(b - np.asarray(right, b.dtype), 0, upper)
