"""Transfer component analysis: the space where the two means agree and the variance stays."""

import numpy as np

from adapters.align.base import Aligner
from adapters.align.components import ComponentParams, Components
from adapters.align.mmd import marginal_vector
from adapters.align.projections import Projection
from studio.core.registry import register


@register("align/tca")
class Tca(Aligner):
    """The leading eigenvectors of (K L K + mu I)^-1 K H K: variance kept over gap and norm. Pan et al. 2011, eq. 5-9.

    They have W^T (K L K + mu I) W = I, so that a component's variance is its eigenvalue. At unit variance (the
    constraint of eq. 6) directions of noise would weigh as much as those of signal.
    """

    title = "Transfer component analysis"
    paper = "Pan et al. 2011, Domain Adaptation via Transfer Component Analysis"
    formula = (
        r"\max_W \; \mathrm{tr}(W^\top K H K W) \quad "
        r"\text{s.t.} \quad W^\top (K L K + \mu I) W = I"
    )
    Params = ComponentParams

    def align(self, xs: np.ndarray, ys: np.ndarray, xt: np.ndarray) -> tuple[np.ndarray, Projection]:
        problem = Components(np.concatenate([xs, xt]), self.params)
        self.note = problem.note
        placed, projection = problem.solve(marginal_vector(len(xs), len(xt))[:, None], np.ones(1))
        return placed[: len(xs)], projection
