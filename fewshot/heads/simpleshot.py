"""Nearest class mean on normalised features."""

from typing import Literal

from pydantic import Field
from torch import Tensor

from fewshot.heads.common import (
    EpisodeGram,
    GramHead,
    Normalize,
    class_means,
    cosines,
    normalized,
    squared_distances,
    to_nearest_mean,
)
from studio.core.faces import Episodes
from studio.core.registry import Params, register

_NORMALIZE: dict[str, Normalize] = {"un": "none", "l2n": "l2", "cl2n": "cl2"}


class SimpleShotParams(Params):
    transform: Literal["un", "l2n", "cl2n"] = Field(
        "cl2n", description="un: features as they are; l2n: unit length; cl2n: centred on the support, then unit length"
    )
    metric: Literal["euclidean", "cosine"] = Field("euclidean", description="distance from a query to a class mean")
    scale: float = Field(10.0, gt=0, le=1000, description="factor on the scores before the softmax")


@register("fewshot/simpleshot")
class SimpleShot(GramHead):
    """Nearest class mean after the features were centred and brought to unit length.

    Wang, Chao, Weinberger, van der Maaten 2019, SimpleShot, section 3.2. The paper centres on the mean of the base
    classes; with frozen features from elsewhere there are none, so the episode's support mean stands in.
    """

    title = "SimpleShot (UN, L2N, CL2N)"
    paper = "Wang et al. 2019, SimpleShot: Revisiting Nearest-Neighbor Classification for Few-Shot Learning, " \
            "arXiv:1911.04623"  # fmt: skip
    most_supports = None
    Params = SimpleShotParams

    def scores(self, episodes: Episodes) -> Tensor:
        episodes = normalized(episodes, _NORMALIZE[self.params.transform])
        means = class_means(episodes)
        if self.params.metric == "euclidean":
            return -self.params.scale * squared_distances(episodes.query, means)
        return self.params.scale * cosines(episodes.query, means)

    def scores_from_gram(self, gram: EpisodeGram) -> Tensor:
        gram = gram.normalized(_NORMALIZE[self.params.transform])
        return self.params.scale * to_nearest_mean(gram, self.params.metric)
