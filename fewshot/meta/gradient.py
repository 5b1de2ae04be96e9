"""Methods that learn a start: a network with a classifier, adapted to a task by steps of gradient descent."""

import contextlib
import io
from types import ModuleType
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from fewshot.heads.prototypes import Prototypes
from fewshot.meta.base import MetaLearner, MetaParams, Network, ways_of
from fewshot.meta.tasks import Pool, to_float
from studio.core.errors import UsageError
from studio.core.faces import EpisodeHead, Episodes, LearnerContext
from studio.core.procedure import Job
from studio.core.streams import Batch, Step
from studio.device.norms import batch_norms

SETTLING = 512  # training images from which batch-norm statistics are taken at the end


class GradientParams(MetaParams):
    tasks: int = Field(4, ge=1, le=1024, description="training episodes a step; their losses are averaged")
    inner_lr: float = Field(0.1, gt=0, le=100, description="step length of the adaptation to a task")
    inner_steps: int = Field(1, ge=1, le=1000, description="steps of adaptation in training")
    test_steps: int = Field(3, ge=1, le=10_000, description="steps of adaptation on the episodes that are scored")


class ClassifyingNetwork(Network):
    """Images [B, C, S, S] to logits [B, W]."""

    def __init__(self, backbone: nn.Module, ways: int) -> None:
        super().__init__(backbone)
        self.classifier = nn.Linear(backbone.dim, ways)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.backbone.embed(images))


class GradientLearner(MetaLearner):
    """Adapts the whole network to each task's support by gradient descent.

    As in the papers' code, batch normalisation always takes the statistics of the batch it sees, in scoring too: the
    queries of an episode are normalised together, and so the method is transductive. Photos that come in one by one
    are predicted by cosine to class means of the learned features (Raghu et al. 2020, section 5), with statistics
    taken from training images.
    """

    Params = GradientParams
    adapts_per_episode = True
    fixed_ways = True
    transductive: ClassVar[bool] = True

    def build(self, context: LearnerContext) -> nn.Module:
        return self.wrap(ClassifyingNetwork(context.backbone, context.extra["ways"]))

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network in a wrapper that brings `clone` and `adapt`."""
        raise NotImplementedError

    @property
    def network(self) -> Network:
        return self.module.module

    def losses(self, batch: Batch, at: Step) -> dict[str, Tensor]:
        support_truth, query_truth = ways_of(batch.support)[0], ways_of(batch.query)[0]
        losses = []
        for support, query in zip(batch.support.flatten(1, 2), batch.query.flatten(1, 2), strict=True):
            adapted = self.adapted(support, support_truth, self.params.inner_steps)
            losses.append(functional.cross_entropy(adapted(query).float(), query_truth))
        return {"loss": torch.stack(losses).mean()}

    def adapted(self, images: Tensor, labels: Tensor, steps: int, **how: bool) -> nn.Module:
        """The network after `steps` on images [n, C, S, S]; its weights are functions of the start."""
        fast = self.module.clone()
        for _ in range(steps):
            fast.adapt(functional.cross_entropy(fast(images).float(), labels), **how)
        return fast

    def pixel_scores(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """Scores [Q, W] of one episode of pixels uint8 [n, C, S, S]."""
        with torch.enable_grad():
            images = to_float(support, self.preprocess)
            adapted = self.adapted(images, labels, self.params.test_steps, first_order=True)
        return adapted(to_float(query, self.preprocess)).detach()

    def train_mode(self, training: bool) -> None:
        self.module.train(training)
        for part in batch_norms(self.module):
            part.train()

    def episode_head(self) -> EpisodeHead:
        return AdaptingHead(self)

    def head(self) -> EpisodeHead:
        return Prototypes(Prototypes.Params(metric="cosine"))

    def finalize(self, job: Job, pools: dict[str, Pool]) -> None:
        """Takes batch-norm statistics from training images: single photos are embedded with them later."""
        pool = pools["train"]
        rows = torch.linspace(0, len(pool) - 1, min(SETTLING, len(pool))).long()
        images = to_float(pool.images(rows).to(job.device), self.preprocess)
        self.train_mode(False)
        norms = batch_norms(self.network)
        momenta = [part.momentum for part in norms]
        for part in norms:
            part.reset_running_stats()
            part.momentum = None  # the mean over all batches
        with torch.no_grad():
            for part in images.split(128):
                self.network.backbone.embed(part)
        for part, momentum in zip(norms, momenta, strict=True):
            part.momentum = momentum

    def embed(self, images: Tensor) -> Tensor:
        """Features [B, D] that do not hang on which images come together."""
        self.module.eval()
        features = self.network.backbone.embed(images)
        self.train_mode(False)
        return features


class AdaptingHead(EpisodeHead):
    """Scores episodes whose "features" are pixels, uint8 [T, n, C * S * S], by a learner that adapts to each."""

    def __init__(self, learner: MetaLearner, transductive: bool = True) -> None:
        super().__init__()
        self.learner, self.title, self.transductive = learner, learner.title, transductive

    def scores(self, episodes: Episodes) -> Tensor:
        side = self.learner.preprocess.image_size
        shape = (-1, side, side)
        scores = episodes.query.new_zeros(*episodes.query.shape[:2], episodes.ways, dtype=torch.float32)
        for number, (labels, asked) in enumerate(zip(episodes.labels, episodes.query_mask, strict=True)):
            given = labels >= 0  # padding takes no part, in the statistics of a batch neither
            support, query = episodes.support[number][given], episodes.query[number][asked]
            episode_scores = self.learner.pixel_scores(
                support.unflatten(1, shape), labels[given], query.unflatten(1, shape)
            )
            scores[number, asked] = episode_scores.float()
        return scores


def learn2learn() -> ModuleType:
    """The library, imported without the banner of a dependency. Raises UsageError where it is missing."""
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            import learn2learn
    except ImportError as error:
        raise UsageError(
            f"method: this method is built on learn2learn, which can't be imported ({error}). "
            "`python launch.py doctor` says how to install it; fewshot/protonet and fewshot/reptile need no more than "
            "is there."
        ) from error
    return learn2learn
