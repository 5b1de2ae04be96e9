"""Subspace alignment: the source's principal axes turned onto the target's."""

import numpy as np
from pydantic import Field

from adapters.align.base import Aligner, AlignParams
from adapters.align.eigen import principal_axes
from adapters.align.projections import Linear, Projection
from studio.core.registry import register


class SubspaceParams(AlignParams):
    dim: int = Field(20, ge=1, le=4096, description="dimensions of both subspaces")


@register("align/sa")
class SubspaceAlignment(Aligner):
    """Source samples are projected by Ps (Ps^T Pt), target samples by Pt, each about its mean.

    Fernando et al. 2013, eq. 1-3, where features are standardised and both means are 0.
    """

    title = "Subspace alignment"
    paper = "Fernando et al. 2013, Unsupervised Visual Domain Adaptation Using Subspace Alignment"
    formula = r"M = P_s^\top P_t, \qquad X_s' = X_s P_s M, \quad X_t' = X_t P_t"
    Params = SubspaceParams

    def align(self, xs: np.ndarray, ys: np.ndarray, xt: np.ndarray) -> tuple[np.ndarray, Projection]:
        source, target = principal_axes(xs, self.params.dim), principal_axes(xt, self.params.dim)
        return (xs - xs.mean(axis=0)) @ source @ (source.T @ target) + xt.mean(axis=0) @ target, Linear(target)
