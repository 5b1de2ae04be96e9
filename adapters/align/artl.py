"""Adaptation regularisation: a classifier that sees the same distribution on both sides and follows the manifold."""

import numpy as np
from pydantic import Field

from adapters.align.base import Aligner
from adapters.align.projections import Identity
from adapters.align.regularized import RegularizedParams, solve
from studio.core.registry import register


class ArtlParams(RegularizedParams):
    iterations: int = Field(5, ge=1, le=200, description="rounds of pseudo-labels at most")


@register("align/artl")
class Artl(Aligner):
    """Regularised least squares with joint distribution and manifold terms (ARRLS). Long et al. 2014, eq. 8-15."""

    title = "Adaptation regularisation"
    paper = "Long et al. 2014, Adaptation Regularization: A General Framework for Transfer Learning"
    Params = ArtlParams

    def solve(self, xs: np.ndarray, ys: np.ndarray, xt: np.ndarray) -> None:
        self.projection = Identity()
        self.classifier, self.note = solve(xs, ys, xt, self.count, self.params, 0.5, self.params.classifier)
