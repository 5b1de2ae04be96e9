"""Manifold embedded distribution alignment: ARTL on geodesic flow features, its two gaps balanced by estimate."""

import numpy as np
from pydantic import Field

from adapters.align.base import Aligner
from adapters.align.eigen import principal_axes
from adapters.align.gfk import flow_root
from adapters.align.projections import Linear
from adapters.align.regularized import RegularizedParams, solve
from studio.core.registry import register


class MedaParams(RegularizedParams):
    dim: int = Field(20, ge=1, le=2048, description="dimensions of the subspaces of the geodesic flow")
    balance: float = Field(-1.0, ge=-1, le=1, description="weight of the class terms, 0 to 1; -1 estimates it")


@register("align/meda")
class Meda(Aligner):
    """The classifier of `regularized` on features of the geodesic flow kernel. Wang et al. 2018, eq. 3-15."""

    title = "Manifold embedded distribution alignment"
    paper = "Wang et al. 2018, Visual Domain Adaptation with Manifold Embedded Distribution Alignment"
    Params = MedaParams
    columns_per_dim = 2  # of each pair of principal angles

    def solve(self, xs: np.ndarray, ys: np.ndarray, xt: np.ndarray) -> None:
        params = self.params
        self.projection = Linear(flow_root(principal_axes(xs, params.dim), principal_axes(xt, params.dim)), unit=True)
        mu = params.balance if params.balance >= 0 else None
        zs, zt = self.projection(xs), self.projection(xt)
        self.classifier, self.note = solve(zs, ys, zt, self.count, params, mu, params.classifier)
