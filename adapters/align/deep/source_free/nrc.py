"""NRC: an image of the target is to be called as its neighbours are, most as those that are neighbours both ways."""

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize

from adapters.align.deep.base import Losses, View
from adapters.align.deep.discriminator import entropies
from adapters.align.deep.source_free.base import Memory, SourceFree, SourceFreeParams, images_of
from studio.core.faces import LearnerContext
from studio.core.registry import register
from studio.core.streams import Step


class NrcParams(SourceFreeParams):
    neighbours: int = Field(3, ge=1, le=50, description="nearest images of each; and of each of these once more")
    one_way: float = Field(0.1, ge=0, le=1, description="how much a neighbour counts that is none the other way")


@register("align/nrc")
class Nrc(SourceFree):
    """Minus the product of an image's prediction with its neighbours', theirs, and its own; and diverse predictions.

    Yang et al. 2021, eq. 3-9. Features and predictions of the whole target are remembered, and renewed by each batch.
    """

    title = "NRC"
    paper = "Yang et al. 2021, Exploiting the Intrinsic Neighborhood Structure for Source-free Domain Adaptation"
    Params = NrcParams

    def aids(self, context: LearnerContext) -> dict[str, nn.Module]:
        count = images_of(context)
        memory = Memory(
            features=torch.zeros(count, self.module.dim), probabilities=torch.zeros(count, len(context.classes))
        )
        return {"memory": memory}

    def see_target(self, features: Tensor, logits: Tensor) -> None:
        self.module.aids["memory"].keep(features=features, probabilities=logits.softmax(dim=1))

    def adapt(self, view: View, at: Step) -> Losses:
        batch, memory = view.batch, self.module.aids["memory"]
        predictions = view.probabilities
        memory.keep(batch.index, features=view.features, probabilities=predictions)
        with torch.no_grad():
            bank = normalize(memory.features, dim=1)
            near, affinity = neighbours(bank, batch.index, self.params.neighbours, self.params.one_way)
            further = nearest(bank, near.flatten(), self.params.neighbours).view(len(near), -1)
            of_near, of_further = memory.probabilities[near], memory.probabilities[further]
            own = predictions.detach()
        return {
            "neighbours": -(affinity * agreement(predictions, of_near)).sum(dim=1).mean(),
            "further": -self.params.one_way * agreement(predictions, of_further).sum(dim=1).mean(),
            "self": -(predictions * own).sum(dim=1).mean(),
            "diversity": -entropies(predictions.mean(dim=0)[None]).sum(),
        }


def agreement(predictions: Tensor, others: Tensor) -> Tensor:
    """Products [B, K] of predictions [B, C] with those of others [B, K, C]."""
    return (others * predictions[:, None, :]).sum(dim=2)


def nearest(bank: Tensor, rows: Tensor, count: int) -> Tensor:
    """The `count` nearest rows [B, K] of `rows` [B] in a bank [N, D] of unit length, themselves left out."""
    similar = bank[rows] @ bank.T
    similar.scatter_(1, rows[:, None], -torch.inf)
    return similar.topk(min(count, len(bank) - 1), dim=1).indices


def neighbours(bank: Tensor, rows: Tensor, count: int, one_way: float) -> tuple[Tensor, Tensor]:
    """The nearest [B, K], and how much each counts [B, K]: 1 where `rows` are among its own nearest, else `one_way`."""
    near = nearest(bank, rows, count)
    back = nearest(bank, near.flatten(), count).view(*near.shape, -1)
    mutual = (back == rows[:, None, None]).any(dim=2)
    return near, torch.where(mutual, 1.0, one_way)
