"""P>M>F: pretrain, meta-train, fine-tune."""

import copy
import math
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from fewshot.heads.prototypes import Prototypes
from fewshot.meta.base import MetaParams, Network, cross_entropy
from fewshot.meta.gradient import AdaptingHead
from fewshot.meta.metric import MetricLearner
from fewshot.meta.scoring import score
from fewshot.meta.tasks import TUNE, Pool, to_float
from studio.core.faces import EpisodeHead, Episodes, LearnerContext
from studio.core.procedure import Job
from studio.core.registry import register
from studio.data.transforms import augment
from studio.device.norms import freeze_statistics

CANDIDATES = (0.0, 1e-4, 5e-4, 1e-3)  # of the fine-tuning's learning rate
MOMENTUM = 0.9


class PmfParams(MetaParams):
    crops: bool = Field(True, description="random crops and flips of training images: for photos, not for characters")
    freeze_statistics: bool = Field(
        True, description="keep the pretrained batch-norm statistics, which a few images of a task would spoil"
    )
    finetune_steps: int = Field(50, ge=1, le=10_000, description="steps of fine-tuning on an episode's support")
    finetune_lr: float | None = Field(
        None, ge=0, le=1, description="of the fine-tuning; 0: none; null: chosen on episodes of held-out classes"
    )
    tuning_episodes: int = Field(6, ge=2, le=1000, description="episodes of held-out classes that choose finetune_lr")


class ScaledPrototypes(EpisodeHead):
    """Cosines to class means, times a learned scale."""

    title = "cosine to class means"

    def __init__(self, log_scale: Tensor) -> None:
        super().__init__()
        self.log_scale = log_scale

    def scores(self, episodes: Episodes) -> Tensor:
        cosines = Prototypes(Prototypes.Params(metric="cosine", scale=1.0)).scores(episodes)
        return self.log_scale.exp() * cosines


@register("fewshot/pmf")
class Pmf(MetricLearner):
    """A pretrained backbone, meta-trained with prototypes, then fine-tuned on each episode's augmented support.

    Hu et al. 2022, Pushing the Limits of Simple Pipelines for Few-Shot Learning, section 3. Fine-tuning takes the
    support for prototypes and augmented copies of it for queries; its learning rate, none among the candidates, is
    chosen on held-out classes. A checkpoint predicts photos by the meta-trained network, without fine-tuning.
    """

    title = "P>M>F"
    paper = "Hu et al. 2022, Pushing the Limits of Simple Pipelines for Few-Shot Learning, arXiv:2204.07305"
    Params = PmfParams

    def build(self, context: LearnerContext) -> nn.Module:
        self.lr = self.params.finetune_lr or 0.0
        network = Network(context.backbone)
        network.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        return network

    def train_mode(self, training: bool) -> None:
        super().train_mode(training)
        if training and self.params.freeze_statistics:
            freeze_statistics(self.network.backbone)

    def head(self) -> EpisodeHead:
        return ScaledPrototypes(self.network.log_scale)

    @property
    def adapts_per_episode(self) -> bool:  # type: ignore[override]
        """With a learning rate of 0 an episode changes nothing, and features are computed once."""
        return self.lr > 0

    def episode_head(self) -> EpisodeHead:
        return AdaptingHead(self, transductive=False) if self.adapts_per_episode else self.head()

    def finalize(self, job: Job, pools: dict[str, Pool]) -> None:
        """Chooses the learning rate of the fine-tuning."""
        if self.params.finetune_lr is not None:
            self.lr = self.params.finetune_lr
            return
        asked, pool = job.recipe.eval, pools["val"]
        ways = min(asked.ways, len(pool.classes))
        source = pool.sampler(
            ways, asked.shots, asked.queries, self.params.tuning_episodes, job.recipe.train.seed, TUNE
        )  # fmt: skip
        rows = []
        for lr in CANDIDATES:
            self.lr = lr
            result = score(self, pool, source, job.device, should_stop=job.should_stop)
            rows.append([lr, round(result.interval[0], 4)])
        job.table("fine-tuning on held-out classes", ["learning rate", "accuracy"], rows)
        self.lr = max(rows, key=lambda row: row[1])[0]
        job.events.note(f"Episodes are fine-tuned with learning rate {self.lr:g}, chosen on held-out classes.")

    def recall(self, metrics: dict[str, Any]) -> None:
        asked = self.params.finetune_lr
        self.lr = metrics["finetune_lr"] if asked is None else asked

    def extra_metrics(self) -> dict[str, Any]:
        return {"finetune_lr": self.lr}

    def pixel_scores(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Scores [Q, W] of one episode of pixels uint8 [n, C, S, S], by a copy that is fine-tuned on its support."""
        network = copy.deepcopy(self.network).requires_grad_(True)
        optimizer = torch.optim.SGD(network.parameters(), lr=self.lr, momentum=MOMENTUM)
        draw = torch.Generator().manual_seed(self.seed)
        head, plain = ScaledPrototypes(network.log_scale), to_float(support, self.preprocess)
        with torch.enable_grad():
            for _ in range(self.params.finetune_steps):
                turned = augment(support.cpu(), self.preprocess, draw).to(support.device)
                scores = _scores(head, network(plain), labels, network(turned))
                optimizer.zero_grad()
                cross_entropy(scores, labels[None]).backward()
                optimizer.step()
        return _scores(head, network(plain), labels, network(to_float(query, self.preprocess)))[0].detach()


def _scores(head: EpisodeHead, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
    mask = torch.ones(1, len(query), dtype=torch.bool, device=query.device)
    return head.scores(Episodes(support[None], labels[None], query[None], mask, int(labels.max()) + 1))
