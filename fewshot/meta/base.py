"""What meta-trained methods share: the face, its parameters, and a batch of tasks."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from fewshot.heads.prototypes import Prototypes
from studio.core.faces import EpisodeHead, Episodes, Learner, LearnerContext
from studio.core.procedure import Job
from studio.core.registry import Params
from studio.core.streams import Batch, Step

if TYPE_CHECKING:
    from fewshot.meta.tasks import Pool


class MetaParams(Params):
    tasks: int = Field(1, ge=1, le=1024, description="training episodes a step; their losses are averaged")
    steps_per_epoch: int = Field(100, ge=1, le=1_000_000, description="steps between two looks at the held-out classes")
    train_ways: int | None = Field(None, ge=2, le=10_000, description="classes a training episode; null: eval.ways")
    train_queries: int | None = Field(
        None, ge=1, le=10_000, description="queries a class in training episodes; null: eval.queries"
    )
    rotations: Literal["none", "train", "all"] = Field(
        "none", description="a class turned by 90, 180 and 270 degrees is a class of its own: in train, or everywhere"
    )
    crops: bool = Field(False, description="random crops and flips of training images: for photos, not for characters")
    val_episodes: int = Field(100, ge=1, le=100_000, description="episodes of held-out classes after each epoch")


class MetaLearner(Learner):
    """A Learner whose batch is T tasks: support [T, W, K, C, S, S] and query [T, W, Q, C, S, S], normalised.

    `embed` and `head` say how episodes are scored on features. One that `adapts_per_episode` scores on pixels instead.
    """

    Params = MetaParams
    uses = (*Learner.uses, "eval.ways", "eval.shots")
    #: learns on each episode's support images anew, so that features can't be computed once
    adapts_per_episode: ClassVar[bool] = False
    #: training and scoring need as many ways
    fixed_ways: ClassVar[bool] = False

    def setup(self, context: LearnerContext) -> nn.Module:
        """`context.extra["ways"]` is the number of ways of an episode."""
        self.preprocess = context.backbone.preprocess
        self.seed = context.seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(context.seed)
            self.module = self.build(context).to(memory_format=torch.channels_last)  # on CPUs half as fast again
        return self.module

    def build(self, context: LearnerContext) -> nn.Module:
        """The network, with the backbone as its `backbone`."""
        return Network(context.backbone)

    @property
    def network(self) -> "Network":
        """The network itself, where `module` wraps it."""
        return self.module

    def losses(self, batch: Batch, at: Step) -> dict[str, Tensor]:
        raise NotImplementedError

    def embed(self, images: Tensor) -> Tensor:
        """Features [B, D] of normalised images [B, C, S, S], as `head` compares them."""
        return self.network.backbone.embed(images)

    def head(self) -> EpisodeHead:
        """What scores features of any number of classes."""
        return Prototypes()

    def episode_head(self) -> EpisodeHead:
        """What scores the episodes of an evaluation: on features, or on pixels where it `adapts_per_episode`."""
        return self.head()

    def start(self) -> None:
        """Called once before the first training step."""

    def finalize(self, job: Job, pools: "dict[str, Pool]") -> None:
        """Called once after training: whatever the held-out classes of pools["val"] must still decide."""

    def recall(self, metrics: dict[str, Any]) -> None:
        """Takes up what `finalize` chose before, from the metrics of the checkpoint."""

    def extra_metrics(self) -> dict[str, Any]:
        """What to say beside the metrics."""
        return {}

    def export_module(self) -> None:
        return None

    def state(self) -> dict[str, Tensor]:
        return self.network.state_dict()

    def load_state(self, state: dict[str, Tensor]) -> None:
        self.network.load_state_dict(state)


class Network(nn.Module):
    """A backbone, and what a method adds to it: images [B, C, S, S] to features [B, D]."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> Tensor:
        return self.backbone.embed(images)


def ways_of(images: Tensor) -> Tensor:
    """The way of each image [T, W * n] of tasks [T, W, n, ...]."""
    tasks, ways, count = images.shape[:3]
    return torch.arange(ways, device=images.device).repeat_interleave(count).expand(tasks, -1)


def embedded(embed: nn.Module, batch: Batch) -> tuple[Episodes, Tensor]:
    """Episodes of the features of all images at once, and the truth [T, W * Q]."""
    support, query = batch.support, batch.query
    tasks, ways, shots = support.shape[:3]
    features = embed(torch.cat([support.flatten(0, 2), query.flatten(0, 2)]))
    first, second = features.split([tasks * ways * shots, len(features) - tasks * ways * shots])
    truth = ways_of(query)
    episodes = Episodes(
        support=first.view(tasks, ways * shots, -1),
        labels=ways_of(support),
        query=second.view(tasks, truth.shape[1], -1),
        query_mask=torch.ones_like(truth, dtype=torch.bool),
        ways=ways,
    )
    return episodes, truth


def cross_entropy(scores: Tensor, truth: Tensor) -> Tensor:
    """Mean cross-entropy of scores [T, Q, W] against the truth [T, Q]."""
    return functional.cross_entropy(scores.float().flatten(0, 1), truth.flatten())
