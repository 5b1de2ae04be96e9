"""Kernels and explicit feature maps of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy.linalg

KINDS = ("linear", "rbf", "poly")
CACHED = 100_000  # numbers worked on at a time, so that they stay in the processor's cache


@dataclass
class Kernel:
    """linear x.y; rbf exp(-gamma |x - y|^2); poly (gamma x.y + 1)^degree."""

    kind: Literal["linear", "rbf", "poly"] = "linear"
    gamma: float = 1.0
    degree: int = 2

    def __call__(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        if self.kind == "linear":
            return x @ y.T
        if self.kind == "poly":
            return (self.gamma * (x @ y.T) + 1.0) ** self.degree
        return squared_distances(x, y, then=lambda part: np.exp(np.multiply(part, -self.gamma, out=part), out=part))

    def array(self) -> np.ndarray:
        return np.array([KINDS.index(self.kind), self.gamma, self.degree], np.float64)

    @classmethod
    def restore(cls, array: np.ndarray) -> "Kernel":
        return cls(KINDS[int(array[0])], float(array[1]), int(array[2]))


def squared_distances(x: np.ndarray, y: np.ndarray, then: Callable[[np.ndarray], Any] | None = None) -> np.ndarray:
    """|x_i - y_j|^2 [n, m], never negative; `then` changes them in place, some rows at a time."""
    square = x @ y.T
    of_x, of_y = np.einsum("ij,ij->i", x, x)[:, None], np.einsum("ij,ij->i", y, y)
    rows = max(1, CACHED // max(1, len(y)))
    for start in range(0, len(x), rows):
        part = square[start : start + rows]
        part *= -2.0
        part += of_x[start : start + rows]
        part += of_y
        np.maximum(part, 0.0, out=part)
        if then is not None:
            then(part)
    return square


def median_gamma(x: np.ndarray, seed: int = 0, most: int = 1000) -> float:
    """1 / median squared distance, over a seeded sample of pairs."""
    if len(x) > most:
        x = x[np.sort(np.random.default_rng(seed).permutation(len(x))[:most])]
    middle = np.median(squared_distances(x, x)[np.triu_indices(len(x), 1)])
    return float(1.0 / middle) if middle > 0 else 1.0


def nystrom(x: np.ndarray, kernel: Kernel, rank: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Anchors [r, d] and a matrix B [r, r'] with k(x, y) ~ phi(x).phi(y), phi(x) = k(x, anchors) B.

    Williams and Seeger 2001. Anchors are a seeded sample of the rows.
    """
    chosen = np.sort(np.random.default_rng(seed).permutation(len(x))[:rank])
    anchors = x[chosen]
    values, vectors = scipy.linalg.eigh(kernel(anchors, anchors), driver="evd")
    keep = values > values.max() * 1e-10
    return anchors, vectors[:, keep] / np.sqrt(values[keep])
