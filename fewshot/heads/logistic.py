"""Multinomial logistic regression."""

from pydantic import Field
from torch import Tensor

from fewshot.heads.common import EpisodeGram, GramHead, Normalize, one_hot
from fewshot.heads.ridge import CenteredKernel
from studio.core.registry import Params, register

#: it mostly ends after some tens
MOST_STEPS = 1000


class LogisticParams(Params):
    normalize: Normalize = Field("l2", description="none, l2 (unit length) or cl2 (centred on the support first)")
    c: float = Field(10.0, ge=1e-3, le=100, description="inverse weight of the squared norm, as scikit-learn's C")


@register("fewshot/logistic")
class Logistic(GramHead):
    """Logistic regression with a squared-norm penalty and a free intercept, as scikit-learn's.

    The strong baseline of Tian et al. 2020, Rethinking Few-Shot Image Classification: a Good Embedding Is All You
    Need? Solved for all episodes at once: the log-likelihood's curvature is at most 1/2 (Boehning 1992, Multinomial
    logistic regression algorithm), so each step is a ridge regression with one and the same matrix; the steps are
    accelerated (Nesterov), with a restart where they overshoot (O'Donoghue and Candes 2015).
    """

    title = "Logistic regression"
    paper = "Tian et al. 2020, Rethinking Few-Shot Image Classification: a Good Embedding Is All You Need?, " \
            "arXiv:2003.11539"  # fmt: skip
    formula = (
        r"\min_{W, b} \; -\sum_i \log \mathrm{softmax}(W^\top x_i + b)_{y_i} "
        r"+ \frac{\lambda}{2} \lVert W \rVert^2"
    )
    Params = LogisticParams

    def scores_from_gram(self, gram: EpisodeGram) -> Tensor:
        gram = gram.normalized(self.params.normalize)
        penalty = 2 / self.params.c  # the bound on the curvature is 1/2: the ridge penalty doubles
        kernel = CenteredKernel(gram, penalty)
        inverse = kernel.inverse()
        targets = one_hot(gram.labels, gram.ways, gram.cross.dtype)

        fitted = ahead = targets * 0  # values at the supports [T, S, W], and where the next step looks from
        momentum = fitted.new_ones(len(fitted), 1, 1)
        for step in range(MOST_STEPS):
            response = ahead - 2 * (ahead.softmax(-1) - targets)
            intercept, rest = kernel.split(response)
            coefficients = inverse @ rest
            now = rest - penalty * coefficients + intercept  # K A + b, as (K + penalty I) A = rest
            change = now - fitted
            overshot = ((ahead - now) * change).sum((1, 2), keepdim=True) > 0
            momentum = momentum.masked_fill(overshot, 1.0)
            following = (1 + (1 + 4 * momentum.square()).sqrt()) / 2
            ahead = now + (momentum - 1) / following * change
            fitted, momentum = now, following
            if step % 10 == 9 and change.abs().max() < 1e-5:
                break
        return kernel.predict(coefficients, intercept)
