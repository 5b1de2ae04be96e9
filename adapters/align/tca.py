"""Transfer component analysis: the space where the two means agree and the variance stays."""

from typing import Literal

import numpy as np
from pydantic import Field

from adapters.align.base import Aligner, AlignParams
from adapters.align.eigen import linear_kernel_basis, smallest_generalized
from adapters.align.kernels import Kernel, median_gamma, nystrom
from adapters.align.mmd import marginal_vector
from adapters.align.projections import Kernelized, Linear, Projection
from studio.core.registry import register

EXACT = 6000  # samples up to which a kernel matrix is solved exactly
ANCHORS = 1000  # of the Nystrom approximation beyond


class TcaParams(AlignParams):
    dim: int = Field(20, ge=1, le=4096, description="transfer components")
    ridge: float = Field(1.0, gt=0, le=1e6, description="weight of the penalty on the projection (mu)")
    kernel: Literal["linear", "rbf", "poly"] = Field("linear", description="linear is solved in the smaller of n and d")
    gamma: float = Field(0.0, ge=0, description="kernel width; 0 takes 1 / median squared distance")
    degree: int = Field(2, ge=1, le=10, description="degree of the polynomial kernel")
    seed: int = Field(0, ge=0, description="chooses the anchors of a large kernel problem")


@register("align/tca")
class Tca(Aligner):
    """Minimises tr(W^T K L K W) + mu |W|^2 with W^T K H K W = I. Pan et al. 2011, eq. 5-9.

    The linear kernel's problem is solved in the smaller of n and d, with the same solution.
    """

    title = "Transfer component analysis"
    paper = "Pan et al. 2011, Domain Adaptation via Transfer Component Analysis"
    Params = TcaParams

    def align(self, xs: np.ndarray, ys: np.ndarray, xt: np.ndarray) -> tuple[np.ndarray, Projection]:
        x = np.concatenate([xs, xt])
        projection = component_projection(x, marginal_vector(len(xs), len(xt))[:, None], np.ones(1), self.params, self)
        return projection(xs), projection


def component_projection(
    x: np.ndarray, factors: np.ndarray, weights: np.ndarray, params: TcaParams, owner: Aligner
) -> Projection:
    """The projection by kernel coefficients W: min tr(W^T K M K W) + ridge |W|^2 with W^T K H K W = I.

    M = sum_i weights_i factors_i factors_i^T. x [n, d] holds both domains. Shared by TCA, JDA and BDA.
    """
    if params.kernel == "linear":
        basis = linear_kernel_basis(x)
        return Linear(basis @ _primal(x @ basis, factors, weights, params))
    kernel = Kernel(params.kernel, params.gamma or median_gamma(x, params.seed), params.degree)
    if len(x) <= EXACT:
        gram = kernel(x, x)
        return Kernelized(x, _primal(gram, factors, weights, params), kernel)
    owner.note = f"kernel approximated by {ANCHORS} Nystrom anchors (seed {params.seed}): {len(x)} samples"
    anchors, matrix = nystrom(x, kernel, ANCHORS, params.seed)
    return Kernelized(anchors, matrix @ _primal(kernel(x, anchors) @ matrix, factors, weights, params), kernel)


def _primal(x: np.ndarray, factors: np.ndarray, weights: np.ndarray, params: TcaParams) -> np.ndarray:
    centred = x - x.mean(axis=0)
    moved = x.T @ factors
    gap = (moved * weights) @ moved.T + params.ridge * np.eye(x.shape[1])
    return smallest_generalized(gap, centred.T @ centred, params.dim)
