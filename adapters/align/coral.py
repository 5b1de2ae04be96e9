"""CORAL: the source recoloured to the target's covariance."""

from typing import Literal

import numpy as np
from pydantic import Field

from adapters.align.base import Aligner, AlignParams
from adapters.align.eigen import power
from adapters.align.projections import Identity, Projection
from studio.core.registry import register


class CoralParams(AlignParams):
    classifier: Literal["1nn", "svm", "logistic"] = Field("svm", description="what is trained on the aligned source")
    ridge: float = Field(1.0, gt=0, le=1e6, description="added to both diagonals, in mean variances of the source")


@register("align/coral")
class Coral(Aligner):
    """Whitens the source and colours it as the target: A = Cs^(-1/2) Ct^(1/2), C = cov + ridge I.

    The paper adds I to covariances of standardised features, whose mean variance is 1; so does `ridge` here,
    whatever the features' scale. Standardised features have mean 0 as well; where they have another, the source is
    recoloured about its own mean and moved to the target's, or A would turn the mean along with the spread.

    Sun, Feng, Saenko 2016, algorithm 1.
    """

    title = "Correlation alignment"
    paper = "Sun, Feng, Saenko 2016, Return of Frustratingly Easy Domain Adaptation"
    formula = r"A = C_s^{-1/2} \, C_t^{1/2}, \qquad C = \mathrm{cov}(X) + \lambda I"
    Params = CoralParams

    def align(self, xs: np.ndarray, ys: np.ndarray, xt: np.ndarray) -> tuple[np.ndarray, Projection]:
        source, target = np.cov(xs, rowvar=False), np.cov(xt, rowvar=False)
        ridge = self.params.ridge * np.trace(source) / len(source) * np.eye(len(source))
        source, target = source + ridge, target + ridge
        recoloured = (xs - xs.mean(axis=0)) @ power(source, -0.5) @ power(target, 0.5)
        return recoloured + xt.mean(axis=0), Identity()
