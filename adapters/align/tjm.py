"""Transfer joint matching: TCA that also leaves out source samples which don't fit the target."""

import numpy as np
from pydantic import Field

from adapters.align.base import Aligner
from adapters.align.components import ANCHORS, ComponentParams
from adapters.align.eigen import largest_generalized, span
from adapters.align.kernels import Kernel, median_gamma, nystrom
from adapters.align.mmd import marginal_vector
from adapters.align.projections import Kernelized, Linear, Projection
from studio.core.registry import register


class TjmParams(ComponentParams):
    iterations: int = Field(10, ge=1, le=200, description="rounds of reweighting")


@register("align/tjm")
class Tjm(Aligner):
    """tr(W^T K M K W) + lambda (|W_s|_2,1 + |W_t|^2) with W^T K H K W = I. Long et al. 2014, eq. 8-10.

    The row norm is met by reweighting: g_i = 1 / (2 |w_i|) for source rows. As in TCA a component of the result has
    the variance that it is worth. A kernel other than the linear
    one works on its Nystrom features (exact where the samples are no more than the anchors).
    """

    title = "Transfer joint matching"
    paper = "Long et al. 2014, Transfer Joint Matching for Unsupervised Domain Adaptation"
    Params = TjmParams

    def align(self, xs: np.ndarray, ys: np.ndarray, xt: np.ndarray) -> tuple[np.ndarray, Projection]:
        x, params, n = np.concatenate([xs, xt]), self.params, len(xs)
        anchors, features, kernel = None, x, Kernel()
        if params.kernel != "linear":
            kernel = Kernel(params.kernel, params.gamma or median_gamma(x, params.seed), params.degree)
            anchors, back = nystrom(x, kernel, ANCHORS, params.seed)
            features = kernel(x, anchors) @ back
            if len(x) > ANCHORS:
                self.note = f"kernel approximated by {ANCHORS} Nystrom anchors (seed {params.seed}): {len(x)} samples"
        vector = marginal_vector(n, len(xt))
        vector = vector / np.linalg.norm(vector)  # M at Frobenius norm 1
        basis = span(features)
        z = features @ basis
        centred, gap = z - z.mean(axis=0), z.T @ vector
        scatter, gap = centred.T @ centred, np.outer(gap, gap)
        root = np.ones(len(x))  # g^(-1/2)
        for _ in range(params.iterations):
            # W = g^(-1) z Q^(-1) P with Q = z^T g^(-1) z gives z z^T W = z P and tr(W^T g W) = tr(P^T Q^(-1) P)
            weighted = z * root[:, None]
            inner = weighted.T @ weighted
            inverse = np.linalg.inv(inner + 1e-9 * np.trace(inner) / len(inner) * np.eye(len(inner)))
            solution = largest_generalized(scatter, gap + params.ridge * (inverse + inverse.T) / 2, params.dim)
            even = solution / np.sqrt(np.einsum("ij,ij->j", solution, scatter @ solution))  # W^T K H K W = I
            rows = np.linalg.norm(weighted[:n] @ (inverse @ even), axis=1) * root[:n]
            root[:n] = np.sqrt(2.0 * rows + 1e-8 * max(rows.max(), 1e-300))
            root[:n] /= root[:n].max() or 1.0
        matrix, centre = basis @ solution, z.mean(axis=0) @ solution
        linear = Linear(matrix, params.unit, centre) if anchors is None else None
        projection = linear or Kernelized(anchors, back @ matrix, kernel, params.unit, centre)
        return projection(xs), projection
