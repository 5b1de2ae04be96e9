"""Kernels and explicit feature maps of them."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.linalg

KINDS = ("linear", "rbf", "poly")


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
        return np.exp(-self.gamma * squared_distances(x, y))

    def array(self) -> np.ndarray:
        return np.array([KINDS.index(self.kind), self.gamma, self.degree], np.float64)

    @classmethod
    def restore(cls, array: np.ndarray) -> "Kernel":
        return cls(KINDS[int(array[0])], float(array[1]), int(array[2]))


def squared_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """|x_i - y_j|^2 [n, m], never negative."""
    square = (x * x).sum(axis=1)[:, None] + (y * y).sum(axis=1)[None, :] - 2.0 * (x @ y.T)
    return np.maximum(square, 0.0, out=square)


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
