"""Prototypical networks."""

from typing import Literal

from pydantic import Field

from fewshot.heads.prototypes import Prototypes
from fewshot.meta.base import MetaParams
from fewshot.meta.metric import MetricLearner
from studio.core.faces import EpisodeHead
from studio.core.registry import register


class ProtoNetParams(MetaParams):
    metric: Literal["euclidean", "cosine"] = Field("euclidean", description="distance from a query to a class mean")
    scale: float = Field(20.0, gt=0, le=1000, description="factor on the cosine before the softmax (cosine only)")


@register("fewshot/protonet")
class ProtoNet(MetricLearner):
    """Learns features in which the class mean is the class: cross-entropy over distances to the means of an episode.

    Snell, Swersky, Zemel 2017, Prototypical Networks for Few-shot Learning, eq. 1, 2 and algorithm 1. Training with
    more ways than are scored later (params.train_ways) usually helps.
    """

    title = "Prototypical networks"
    paper = "Snell et al. 2017, Prototypical Networks for Few-shot Learning, arXiv:1703.05175"
    formula = (
        r"c_k = \frac{1}{|S_k|} \sum_{x \in S_k} f(x), \qquad L = -\log \frac{\exp(-\lVert "
        r"f(q) - c_y \rVert^2)}{\sum_k \exp(-\lVert f(q) - c_k \rVert^2)}"
    )
    Params = ProtoNetParams

    def head(self) -> EpisodeHead:
        return Prototypes(Prototypes.Params(metric=self.params.metric, scale=self.params.scale))
