"""ANIL: almost no inner loop."""

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from fewshot.heads.common import one_hot
from fewshot.heads.prototypes import Prototypes
from fewshot.meta.base import MetaLearner, Network, cross_entropy, embedded
from fewshot.meta.gradient import GradientParams, learn2learn
from studio.core.faces import EpisodeHead, Episodes, LearnerContext
from studio.core.registry import register
from studio.core.streams import Batch, Step


class AnilParams(GradientParams):
    inner_steps: int = Field(3, ge=1, le=1000, description="steps of adaptation in training")
    test_steps: int = Field(10, ge=1, le=10_000, description="steps of adaptation on the episodes that are scored")


class DescentHead(EpisodeHead):
    """A linear classifier with a learned start, adapted to all episodes at once by gradient descent."""

    title = "a linear classifier with a learned start"

    def __init__(self, start: nn.Linear, lr: float, steps: int) -> None:
        super().__init__()
        self.start, self.lr, self.steps = start, lr, steps

    def scores(self, episodes: Episodes) -> Tensor:
        support, wanted = _with_one(episodes.support), one_hot(episodes.labels, episodes.ways, episodes.support.dtype)
        real = (episodes.labels >= 0).unsqueeze(-1).to(support.dtype)
        share = real / real.sum(1, keepdim=True)
        weights = torch.cat([self.start.weight, self.start.bias[:, None]], 1).T.expand(len(support), -1, -1)
        for _ in range(self.steps):  # the gradient of the mean cross-entropy, in closed form
            errors = ((support @ weights).softmax(-1) - wanted) * share
            weights = weights - self.lr * support.transpose(1, 2) @ errors
        return _with_one(episodes.query) @ weights


def _with_one(features: Tensor) -> Tensor:
    return functional.pad(features, (0, 1), value=1.0)


@register("fewshot/anil")
class Anil(MetaLearner):
    """MAML whose inner steps move the classifier alone; the backbone is the same for all tasks.

    Raghu et al. 2020, Rapid Learning or Feature Reuse?, section 4; learn2learn's MAML wrapper around the classifier.
    Photos are predicted by cosine to class means of the learned features (the paper's section 5, no inner loop), since
    the learned classifier has as many outputs as an episode has ways.
    """

    title = "ANIL"
    paper = "Raghu et al. 2020, Rapid Learning or Feature Reuse? Towards Understanding MAML, arXiv:1909.09157"
    Params = AnilParams
    fixed_ways = True

    def build(self, context: LearnerContext) -> nn.Module:
        network = Network(context.backbone)
        start = nn.Linear(context.backbone.dim, context.extra["ways"])
        network.classifier = learn2learn().algorithms.MAML(start, self.params.inner_lr)
        return network

    def losses(self, batch: Batch, at: Step) -> dict[str, Tensor]:
        episodes, truth = embedded(self.embed, batch)
        scores = []
        for support, labels, query in zip(episodes.support, episodes.labels, episodes.query, strict=True):
            fast = self.network.classifier.clone()
            for _ in range(self.params.inner_steps):
                fast.adapt(functional.cross_entropy(fast(support).float(), labels))
            scores.append(fast(query))
        return {"loss": cross_entropy(torch.stack(scores), truth)}

    def episode_head(self) -> EpisodeHead:
        return DescentHead(self.network.classifier.module, self.params.inner_lr, self.params.test_steps)

    def head(self) -> EpisodeHead:
        return Prototypes(Prototypes.Params(metric="cosine"))
