"""The family of TCA: components that bring chosen means together and keep the variance, one eigenproblem."""

from typing import Literal

import numpy as np
from pydantic import Field

from adapters.align.base import AlignParams
from adapters.align.eigen import largest_over_ridge, linear_kernel_basis
from adapters.align.kernels import Kernel, median_gamma, nystrom
from adapters.align.normalize import unit_rows
from adapters.align.projections import Kernelized, Linear, Projection

EXACT = 5000  # samples up to which a kernel matrix is solved exactly
ANCHORS = 1000  # of the Nystrom approximation beyond


class ComponentParams(AlignParams):
    dim: int = Field(20, ge=1, le=4096, description="transfer components")
    ridge: float = Field(1.0, gt=0, le=1e6, description="weight of the penalty on the coefficients (mu, lambda)")
    kernel: Literal["linear", "rbf", "poly"] = Field("linear", description="linear is solved in the smaller of n and d")
    gamma: float = Field(0.0, ge=0, le=1e6, description="kernel width; 0 takes 1 / median squared distance")
    degree: int = Field(2, ge=1, le=10, description="degree of the polynomial kernel")
    unit: bool = Field(True, description="bring aligned samples to length 1")
    seed: int = Field(0, ge=0, description="chooses the anchors of a large kernel problem")


class Components:
    """The leading K H K w = theta (K M K + ridge I) w, with w^T (K M K + ridge I) w = 1, for one K and many M.

    K [n, n] is the kernel matrix of x [n, d], both domains; H centres; M = sum_i weights_i f_i f_i^T is
    given by few factors f_i [n], so no n x n matrix but K is ever made, and none at all for the linear kernel.
    `note` says so where K is approximated.
    """

    def __init__(self, x: np.ndarray, params: ComponentParams) -> None:
        self.params, self.note = params, ""
        self.kernel = Kernel(params.kernel, params.gamma or median_gamma(x, params.seed), params.degree)
        if params.kernel == "linear":
            self.basis = linear_kernel_basis(x)
            self.features = x @ self.basis
        elif len(x) <= EXACT:
            self.anchors, self.basis = x, None
            self.features = self.kernel(x, x)
        else:
            self.note = f"kernel approximated by {ANCHORS} Nystrom anchors (seed {params.seed}): {len(x)} samples"
            self.anchors, self.basis = nystrom(x, self.kernel, ANCHORS, params.seed)
            self.features = self.kernel(x, self.anchors) @ self.basis
        self.mean = self.features.mean(axis=0)
        self.features -= self.mean
        self.scatter = self.features.T @ self.features

    def solve(self, factors: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, Projection]:
        """x in the common space [n, dim] about its mean, and the projection, for M of factors [n, k], weights [k] >= 0.

        About the mean because far from it rows of length 1 hardly differ: a linear classifier would see one point.
        """
        factors = factors * np.sqrt(weights)
        moved = self.features.T @ factors + np.outer(self.mean, factors.sum(axis=0))
        solution = largest_over_ridge(self.scatter, moved, self.params.ridge, self.params.dim)
        coefficients = solution if self.basis is None else self.basis @ solution
        z, centre = self.features @ solution, self.mean @ solution
        placed = unit_rows(z) if self.params.unit else z
        if self.params.kernel == "linear":
            return placed, Linear(coefficients, self.params.unit, centre)
        known = placed if len(self.anchors) == len(placed) else None
        return placed, Kernelized(self.anchors, coefficients, self.kernel, self.params.unit, centre, known)
