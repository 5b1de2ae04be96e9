"""Prototypes rectified by confident queries."""

import torch
from pydantic import Field
from torch import Tensor

from fewshot.heads.common import Normalize, class_means, cosines, masked_mean, normalized, one_hot
from studio.core.faces import EpisodeHead, Episodes
from studio.core.registry import Params, register


class BDCSPNParams(Params):
    normalize: Normalize = Field("none", description="none, l2 (unit length) or cl2 (centred on the episode first)")
    scale: float = Field(10.0, gt=0, le=1000, description="factor on the cosine before the softmax (epsilon)")


@register("fewshot/bd-cspn")
class BDCSPN(EpisodeHead):
    """Moves the queries onto the support's mean, lets them vote for class means, classifies by cosine.

    Liu, Song, Qin 2020, Prototype Rectification for Few-Shot Learning, eq. 3 to 8. Taking the two means for the
    same point presumes that the queries are spread over the classes as the support is.
    """

    title = "BD-CSPN (prototype rectification)"
    paper = "Liu et al. 2020, Prototype Rectification for Few-Shot Learning, arXiv:1911.10713"
    transductive = True
    assumes_balanced = True
    Params = BDCSPNParams

    def scores(self, episodes: Episodes) -> Tensor:
        episodes = normalized(episodes, self.params.normalize, with_queries=True)
        means = rectified_means(episodes, self.params.scale)
        return self.params.scale * cosines(episodes.query, means)


def rectified_means(episodes: Episodes, scale: float) -> Tensor:
    """Class means [T, W, D] over supports and shifted queries, weighted by exp(scale * cosine to the first mean)."""
    taking_part = episodes.labels >= 0
    shift = masked_mean(episodes.support, taking_part) - masked_mean(episodes.query, episodes.query_mask)
    query = episodes.query + shift
    first = class_means(episodes)

    to_query = scale * cosines(query, first)
    guessed = one_hot(to_query.argmax(-1), episodes.ways, query.dtype) * episodes.query_mask.unsqueeze(-1)
    members = torch.cat([one_hot(episodes.labels, episodes.ways, query.dtype), guessed], 1)
    closeness = torch.cat([scale * cosines(episodes.support, first), to_query], 1)
    weights = closeness.masked_fill(members == 0, -float("inf")).softmax(1)
    return weights.transpose(1, 2) @ torch.cat([episodes.support, query], 1)
