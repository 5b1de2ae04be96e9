"""FEAT: prototypes adapted to each other by attention."""

import torch
from pydantic import Field
from torch import Tensor, nn

from fewshot.heads.common import class_means, squared_distances
from fewshot.meta.base import MetaLearner, MetaParams, Network, cross_entropy, embedded
from studio.core.faces import EpisodeHead, Episodes, LearnerContext
from studio.core.registry import register
from studio.core.streams import Batch, Step


class FeatParams(MetaParams):
    temperature: float = Field(64.0, gt=0, le=10_000, description="divides the squared distances before the softmax")
    balance: float = Field(0.1, ge=0, le=100, description="weight of the loss that keeps a class's own images together")
    dropout: float = Field(0.5, ge=0, lt=1, description="share of the attention's output dropped in training")


class SetToSet(nn.Module):
    """One layer of self-attention with one head, residual and layer norm (eq. 5 to 8): [T, n, D] to [T, n, D]."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        for layer in (self.query, self.key, self.value):
            nn.init.normal_(layer.weight, std=width**-0.5)
        nn.init.xavier_normal_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, members: Tensor) -> Tensor:
        alike = self.query(members) @ self.key(members).transpose(-1, -2) / members.shape[-1] ** 0.5
        return self.norm(self.dropout(self.out(alike.softmax(-1) @ self.value(members))) + members)


class FeatHead(EpisodeHead):
    """Distances to class means that have seen each other."""

    title = "prototypes adapted by attention"

    def __init__(self, attention: nn.Module, temperature: float) -> None:
        super().__init__()
        self.attention, self.temperature = attention, temperature

    def scores(self, episodes: Episodes) -> Tensor:
        means = self.attention(class_means(episodes))
        return -squared_distances(episodes.query, means) / self.temperature


@register("fewshot/feat")
class Feat(MetaLearner):
    """Prototypes that are adapted to the task they are in, by self-attention among them.

    Ye et al. 2020, Few-Shot Learning via Embedding Adaptation with Set-to-Set Functions, eq. 3 to 9. Eq. 9's second
    loss adapts all images of a class together and wants each image of the task near its own class's adapted centre.
    """

    title = "FEAT"
    paper = "Ye et al. 2020, Few-Shot Learning via Embedding Adaptation with Set-to-Set Functions, arXiv:1812.03664"
    Params = FeatParams

    def build(self, context: LearnerContext) -> nn.Module:
        network = Network(context.backbone)
        network.attention = SetToSet(context.backbone.dim, self.params.dropout)
        return network

    def head(self) -> EpisodeHead:
        return FeatHead(self.network.attention, self.params.temperature)

    def losses(self, batch: Batch, at: Step) -> dict[str, Tensor]:
        episodes, truth = embedded(self.embed, batch)
        losses = {"loss": cross_entropy(self.head().scores(episodes), truth)}
        if self.params.balance > 0:
            losses["own class"] = self.params.balance * self._own_class(episodes)
        return losses

    def _own_class(self, episodes: Episodes) -> Tensor:
        by_way = [x.unflatten(1, (episodes.ways, -1)) for x in (episodes.support, episodes.query)]
        members = torch.cat(by_way, dim=2)  # [T, W, K+Q, D]
        centres = self.network.attention(members.flatten(0, 1)).mean(1).view(len(members), episodes.ways, -1)
        everyone = members.flatten(1, 2)
        truth = torch.arange(episodes.ways, device=everyone.device).repeat_interleave(members.shape[2])
        scores = -squared_distances(everyone, centres) / self.params.temperature
        return cross_entropy(scores, truth.expand(len(members), -1))
