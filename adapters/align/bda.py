"""Balanced distribution adaptation: JDA with the weight of its two terms estimated."""

import numpy as np
from pydantic import Field

from adapters.align.balance import balance
from adapters.align.jda import Jda, JdaParams
from adapters.align.mmd import class_vectors, marginal_vector
from studio.core.registry import register


class BdaParams(JdaParams):
    balance: float = Field(-1.0, ge=-1, le=1, description="weight of the class terms, 0 to 1; -1 estimates it")


@register("align/bda")
class Bda(Jda):
    """M = (1 - mu) M0 + mu sum_c Mc. Wang et al. 2017, eq. 6-7; mu by proxy A-distances (see `balance`)."""

    title = "Balanced distribution adaptation"
    paper = "Wang et al. 2017, Balanced Distribution Adaptation for Transfer Learning"
    formula = (
        r"\min_A \; \mathrm{tr}\Big(A^\top X \big((1 - \mu) M_0 + \mu "
        r"\sum_{c} M_c\big) X^\top A\Big) + \lambda \lVert A \rVert_F^2"
    )
    Params = BdaParams

    def discrepancy(
        self, xs: np.ndarray, ys: np.ndarray, xt: np.ndarray, guesses: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        marginal = marginal_vector(len(xs), len(xt))[:, None]
        if (guesses < 0).all():
            return marginal, np.ones(1)
        mu = self.params.balance if self.params.balance >= 0 else balance(xs, ys, xt, guesses, self.count)
        classes = class_vectors(ys, guesses, self.count)
        weights = np.concatenate([[max(1.0 - mu, 1e-6)], np.full(classes.shape[1], mu)])
        return np.concatenate([marginal, classes], axis=1), weights
