"""Matching networks."""

from pydantic import Field

from fewshot.heads.matching import Matching
from fewshot.meta.base import MetaParams
from fewshot.meta.metric import MetricLearner
from studio.core.faces import EpisodeHead
from studio.core.registry import register


class MatchingNetworksParams(MetaParams):
    scale: float = Field(10.0, gt=0, le=1000, description="factor on the cosine in the attention's softmax")


@register("fewshot/matching-networks")
class MatchingNetworks(MetricLearner):
    """Learns features whose cosines, through a softmax over the support, name the class.

    Vinyals et al. 2016, Matching Networks, eq. 1 and section 2.1.1, without full context embeddings. Features pass a
    ReLU, so that their cosines are all positive; a factor before the softmax lets them be told apart.
    """

    title = "Matching networks"
    paper = "Vinyals et al. 2016, Matching Networks for One Shot Learning, arXiv:1606.04080"
    formula = (
        r"p(k \mid q) = \sum_{i : y_i = k} a(q, x_i), \qquad a(q, x_i) = "
        r"\frac{\exp \cos(f(q), g(x_i))}{\sum_j \exp \cos(f(q), g(x_j))}"
    )
    Params = MatchingNetworksParams

    def head(self) -> EpisodeHead:
        return Matching(Matching.Params(normalize="none", scale=self.params.scale))
