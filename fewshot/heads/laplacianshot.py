"""Nearest class mean where neighbours agree."""

import torch
from pydantic import Field
from torch import Tensor

from fewshot.heads.bd_cspn import rectified_means
from fewshot.heads.common import Normalize, normalized, squared_distances
from studio.core.faces import EpisodeHead, Episodes
from studio.core.registry import Params, register


class LaplacianShotParams(Params):
    normalize: Normalize = Field("cl2", description="none, l2 (unit length) or cl2 (centred on the episode first)")
    neighbours: int = Field(3, ge=1, le=1000, description="nearest queries that each query listens to")
    agreement: float = Field(0.7, ge=0, le=100, description="weight of the neighbours' agreement (lambda)")
    scale: float = Field(10.0, gt=0, le=1000, description="factor on the cosine when means are rectified")
    steps: int = Field(20, ge=1, le=1000, description="bound updates")


@register("fewshot/laplacianshot")
class LaplacianShot(EpisodeHead):
    """Queries near each other get like labels: a Laplacian term beside the distance to rectified class means.

    Ziko, Dolz, Granger, Ben Ayed 2020, Laplacian Regularized Few-Shot Learning, algorithm 1 and eq. 12. It starts
    from BD-CSPN's means, and so presumes like BD-CSPN that queries are spread over the classes as the support is.
    """

    title = "LaplacianShot"
    paper = "Ziko et al. 2020, Laplacian Regularized Few-Shot Learning, arXiv:2006.15486"
    transductive = True
    assumes_balanced = True
    Params = LaplacianShotParams

    def scores(self, episodes: Episodes) -> Tensor:
        episodes = normalized(episodes, self.params.normalize, with_queries=True)
        costs = squared_distances(episodes.query, rectified_means(episodes, self.params.scale))
        pull = self.params.agreement * neighbour_graph(episodes.query, episodes.query_mask, self.params.neighbours)
        logits = -costs
        for _ in range(self.params.steps):
            logits = -costs + pull @ logits.softmax(-1)
        return logits


def neighbour_graph(query: Tensor, mask: Tensor, k: int) -> Tensor:
    """[T, Q, Q]: 1 at (i, j) where j is one of the k nearest other queries of i; padding has no neighbours."""
    distances = squared_distances(query, query)
    itself = torch.eye(query.shape[1], dtype=torch.bool, device=query.device)
    barred = itself | ~mask.unsqueeze(1) | ~mask.unsqueeze(2)
    distances = distances.masked_fill(barred, float("inf"))
    nearest = distances.topk(min(k, query.shape[1]), largest=False)
    return torch.zeros_like(distances).scatter(2, nearest.indices, nearest.values.isfinite().to(query.dtype))
