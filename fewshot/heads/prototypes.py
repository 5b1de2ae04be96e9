"""Nearest class mean."""

from typing import Literal

from pydantic import Field
from torch import Tensor

from fewshot.heads.common import EpisodeGram, GramHead, class_means, cosines, squared_distances, to_nearest_mean
from studio.core.faces import Episodes
from studio.core.registry import Params, register


class PrototypesParams(Params):
    metric: Literal["euclidean", "cosine"] = Field(
        "euclidean", description="distance from a query to a class mean; cosine often does better with one shot"
    )
    scale: float = Field(20.0, gt=0, le=1000, description="factor on the cosine before the softmax (cosine only)")


@register("fewshot/prototypes")
class Prototypes(GramHead):
    """Each class is the mean of its support features; a query goes to the nearest mean.

    Snell, Swersky, Zemel 2017, Prototypical Networks for Few-shot Learning, eq. 1 and 2: the scores are negative
    squared euclidean distances, or scaled cosines.
    """

    title = "Prototypes (nearest class mean)"
    paper = "Snell et al. 2017, Prototypical Networks for Few-shot Learning, arXiv:1703.05175"
    formula = (
        r"c_k = \frac{1}{|S_k|} \sum_{x \in S_k} f(x), \qquad p(k \mid "
        r"q) \propto \exp\left(-\lVert f(q) - c_k \rVert^2\right)"
    )
    most_supports = None
    needs_pairs = False
    Params = PrototypesParams

    def scores(self, episodes: Episodes) -> Tensor:
        means = class_means(episodes)  # first the means: less work than all inner products
        if self.params.metric == "euclidean":
            return -squared_distances(episodes.query, means)
        return self.params.scale * cosines(episodes.query, means)

    def scores_from_gram(self, gram: EpisodeGram) -> Tensor:
        factor = 1.0 if self.params.metric == "euclidean" else self.params.scale
        return factor * to_nearest_mean(gram, self.params.metric)
