"""Relation networks."""

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from fewshot.heads.common import class_means
from fewshot.meta.base import MetaLearner, MetaParams, Network, embedded
from studio.core.errors import UsageError
from studio.core.faces import EpisodeHead, Episodes, LearnerContext
from studio.core.registry import register
from studio.core.streams import Batch, Step

PAIRS_MB = 64  # of concatenated maps compared at a time where nothing is learned


class RelationNetworksParams(MetaParams):
    hidden: int = Field(8, ge=1, le=4096, description="units of the relation module's hidden layer")


class Relation(nn.Module):
    """How alike two feature maps are: concatenated maps [B, 2C, h, w] to logits [B]; their sigmoid is the relation."""

    def __init__(self, channels: int, side: int, hidden: int) -> None:
        super().__init__()
        blocks = []
        for depth in range(2):
            pools = side > 1
            blocks += [
                nn.Conv2d(channels if depth else 2 * channels, channels, 3, padding=1),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
                nn.MaxPool2d(2) if pools else nn.Identity(),
            ]
            side = side // 2 if pools else side
        self.convolutions = nn.Sequential(*blocks)
        self.answer = nn.Sequential(nn.Linear(channels * side**2, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, pairs: Tensor) -> Tensor:
        return self.answer(self.convolutions(pairs).flatten(1)).squeeze(1)


class RelationHead(EpisodeHead):
    """Scores by a relation module on flattened maps of shape [C, h, w]."""

    title = "the relation module"

    def __init__(self, relation: nn.Module, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.relation, self.shape = relation, shape

    def scores(self, episodes: Episodes) -> Tensor:
        means = class_means(episodes)
        if torch.is_grad_enabled():
            return self._of(episodes.query, means)
        bytes_each = 8 * means.shape[1] * episodes.query.shape[1] * episodes.query.shape[2]
        step = max(1, (PAIRS_MB << 20) // bytes_each)
        parts = zip(episodes.query.split(step), means.split(step), strict=True)
        return torch.cat([self._of(query, mean) for query, mean in parts])

    def _of(self, query: Tensor, means: Tensor) -> Tensor:
        tasks, queries, ways = len(query), query.shape[1], means.shape[1]
        maps = [
            means.unsqueeze(1).expand(-1, queries, -1, -1).unflatten(3, self.shape),
            query.unsqueeze(2).expand(-1, -1, ways, -1).unflatten(3, self.shape),
        ]
        return self.relation(torch.cat(maps, dim=3).flatten(0, 2)).view(tasks, queries, ways)


@register("fewshot/relation-networks")
class RelationNetworks(MetaLearner):
    """Learns the comparison itself: a small network sees class map and query map together.

    Sung et al. 2018, Learning to Compare, eq. 1 and 2: the mean squared error between relations and 1 for the same
    class, 0 for others. A class map is the mean (the paper's sum, scaled) of its supports' maps.
    """

    title = "Relation networks"
    paper = "Sung et al. 2018, Learning to Compare: Relation Network for Few-Shot Learning, arXiv:1711.06025"
    Params = RelationNetworksParams

    def build(self, context: LearnerContext) -> nn.Module:
        backbone = context.backbone
        size = backbone.preprocess.image_size
        was_training = backbone.training
        with torch.no_grad():
            shape = tuple(backbone.eval().feature_map(torch.zeros(1, 3, size, size)).shape[1:])
        backbone.train(was_training)
        if len(shape) != 3 or shape[1] != shape[2]:
            raise UsageError(f"{self.id} compares square feature maps; {backbone.spec} gives {shape}.")
        self.shape = shape
        network = Network(backbone)
        network.relation = Relation(shape[0], shape[1], self.params.hidden)
        return network

    def embed(self, images: Tensor) -> Tensor:
        return self.network.backbone.feature_map(images).flatten(1)

    def head(self) -> EpisodeHead:
        return RelationHead(self.network.relation, self.shape)

    def losses(self, batch: Batch, at: Step) -> dict[str, Tensor]:
        episodes, truth = embedded(self.embed, batch)
        relations = self.head().scores(episodes).float().sigmoid()
        wanted = functional.one_hot(truth, episodes.ways).to(relations.dtype)
        return {"loss": functional.mse_loss(relations, wanted)}
