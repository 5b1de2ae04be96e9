"""Attention over the support."""

from pydantic import Field
from torch import Tensor

from fewshot.heads.common import EpisodeGram, GramHead, Normalize, one_hot
from studio.core.registry import Params, register


class MatchingParams(Params):
    normalize: Normalize = Field("cl2", description="none, l2 (unit length) or cl2 (centred on the support first)")
    scale: float = Field(10.0, gt=0, le=1000, description="factor on the cosine in the attention's softmax")


@register("fewshot/matching")
class Matching(GramHead):
    """A query takes the labels of the supports it attends to, by a softmax over cosine similarities.

    Vinyals et al. 2016, Matching Networks, eq. 1 and section 2.1.1. The paper's full context embedding needs
    training; `fewshot/matching-networks` is the trained one. Scores are log-probabilities.
    """

    title = "Matching (attention over the support)"
    paper = "Vinyals et al. 2016, Matching Networks for One Shot Learning, arXiv:1606.04080"
    formula = r"p(k \mid q) = \sum_{i : y_i = k} \frac{\exp(\cos(q, x_i) / \tau)}{\sum_j \exp(\cos(q, x_j) / \tau)}"
    Params = MatchingParams

    def scores_from_gram(self, gram: EpisodeGram) -> Tensor:
        gram = gram.normalized(self.params.normalize).normalized("l2")
        attention = (self.params.scale * gram.cross).masked_fill((gram.labels < 0).unsqueeze(1), -float("inf"))
        probabilities = attention.softmax(-1) @ one_hot(gram.labels, gram.ways, gram.cross.dtype)
        return probabilities.clamp(min=1e-12).log()
