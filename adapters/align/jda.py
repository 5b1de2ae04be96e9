"""Joint distribution adaptation: the means of each class agree too, by pseudo-labels that improve."""

import numpy as np
from pydantic import Field

from adapters.align.base import Aligner
from adapters.align.classifiers import make_classifier
from adapters.align.components import ComponentParams, Components
from adapters.align.mmd import class_vectors, frobenius, marginal_vector
from adapters.align.projections import Projection
from studio.core.registry import register


class JdaParams(ComponentParams):
    iterations: int = Field(10, ge=1, le=200, description="rounds of pseudo-labels at most")


@register("align/jda")
class Jda(Aligner):
    """TCA with M = M0 + sum_c Mc, the class terms by pseudo-labels of the target. Long et al. 2013, eq. 7-9.

    M is scaled to Frobenius norm 1, so that `ridge` means the same for every number of samples. The first
    round has no pseudo-labels: it is TCA.
    """

    title = "Joint distribution adaptation"
    paper = "Long et al. 2013, Transfer Feature Learning with Joint Distribution Adaptation"
    formula = (
        r"\min_A \; \mathrm{tr}\Big(A^\top X \sum_{c=0}^{C} M_c X^\top A\Big) + "
        r"\lambda \lVert A \rVert_F^2 \quad \text{s.t.} \quad A^\top X H X^\top A = I"
    )
    Params = JdaParams

    def align(self, xs: np.ndarray, ys: np.ndarray, xt: np.ndarray) -> tuple[np.ndarray, Projection]:
        problem = Components(np.concatenate([xs, xt]), self.params)
        self.note = problem.note
        guesses = np.full(len(xt), -1)
        for _ in range(self.params.iterations):
            factors, weights = self.discrepancy(xs, ys, xt, guesses)
            placed, projection = problem.solve(factors, weights / frobenius(factors, weights))
            zs, zt = placed[: len(xs)], placed[len(xs) :]
            probabilities = make_classifier(self.params.classifier).fit(zs, ys, self.count).predict_proba(zt)
            if np.array_equal(probabilities.argmax(axis=1), guesses):
                break
            guesses = probabilities.argmax(axis=1)
        return zs, projection

    def discrepancy(
        self, xs: np.ndarray, ys: np.ndarray, xt: np.ndarray, guesses: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Factors [n + m, k] and their weights [k]; their weighted sum of outer products is M."""
        classes = class_vectors(ys, guesses, self.count)
        factors = np.concatenate([marginal_vector(len(xs), len(xt))[:, None], classes], axis=1)
        return factors, np.ones(factors.shape[1])
