"""What learns individuals without labels: clusters of the target's images stand for who they show."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from adapters.reid.base import EmbeddingLearner, EmbeddingParams
from adapters.reid.clustering import LEFT_OUT, Clusters, Neighbours
from adapters.reid.memory import Memory
from adapters.reid.task import NAMED
from studio.core.faces import LearnerContext
from studio.core.streams import Batch, Target


class ClusterParams(EmbeddingParams):
    eps: float = Field(
        0.6, gt=0, lt=0.95, description="images nearer than this are one cluster: Jaccard distance, 0 to 1"
    )
    least: int = Field(4, ge=2, le=100, description="images within eps from which a cluster grows")
    k1: int = Field(30, ge=2, le=200, description="neighbours that a distance looks at; fewer for few images of each")
    k2: int = Field(6, ge=1, le=50, description="nearest images over whose neighbourhoods a distance is averaged")
    by_camera: Annotated[Literal["none", "mean", "neighbours", "norms"], NAMED] = Field(
        "none",
        description="mean: clusters are found without the mean of each camera | neighbours: so, and an image has "
        "neighbours of its own camera and of others (CA-Jaccard) | norms: each camera's images go through the network "
        "by themselves",
    )


class Clusterer(EmbeddingLearner):
    """Learns from a target's images alone, from where a source, a checkpoint or the backbone left its network.

    `context.classes` are not looked at: who is who is what `follow` is told.
    """

    streams = (Target,)
    uses = (
        "data.target", "data.source", "data.test", "data.aspect", "train.epochs", "train.lr", "train.batch_size",
    )  # fmt: skip
    Params = ClusterParams
    starts_solved = True
    #: batches have `again`: the same images, augmented anew
    twice: ClassVar[bool] = False
    #: how many trainings on the source, from other seeds, it starts from
    starts: ClassVar[int] = 1

    def aids(self, context: LearnerContext) -> dict[str, torch.nn.Module]:
        return {}

    def remember(self, images: int) -> None:
        """Makes room for what is remembered of so many images of the target."""
        labels = torch.full((images,), LEFT_OUT, dtype=torch.int64)
        self.module.aids["memory"] = Memory(labels=labels, **self.remembered(images)).to(self._device)

    def start_from_several(self, states: Sequence[dict[str, Tensor]]) -> None:
        """Takes what so many trainings on the source left, of which the first is in the network already."""

    def remembered(self, images: int) -> dict[str, Tensor]:
        """Further tensors of the memory, as they are at first."""
        return {}

    @property
    def memory(self) -> Memory:
        return self.module.aids["memory"]  # type: ignore[return-value]

    @property
    def labels(self) -> np.ndarray:
        """The cluster of each image of the target, int64 [N]; LEFT_OUT where it is in none."""
        return self.memory.labels.cpu().numpy()

    @property
    def reach(self) -> float:
        """The largest Jaccard distance that `clusters` asks for."""
        return self.params.eps

    def clusters(self, neighbours: Neighbours) -> Clusters:
        """The clusters that are learned from."""
        return neighbours.clusters(self.params.eps, self.params.least)

    def follow(self, features: Tensor, clusters: Clusters) -> None:
        """Takes clusters of the target's images, of features [N, D], for the individuals to learn from now on."""
        self.memory.keep(labels=torch.from_numpy(clusters.labels))

    def describe(self, images: Tensor, cameras: Tensor | None = None) -> Tensor:
        """Unit vectors [B, D] that are clustered; what is compared, unless a method says otherwise."""
        return self.embed(images, cameras)

    def through(self, network: torch.nn.Module, images: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Features before and embeddings behind the neck of a network, [B, D] each; by camera where that is asked."""
        if self.params.by_camera != "norms":
            return network(images)
        features = torch.empty(0)
        for camera in batch.cameras.unique().tolist():
            rows = (batch.cameras == camera).nonzero()[:, 0]
            part = network.features(images[rows])
            features = part.new_empty(len(images), part.shape[1]) if not len(features) else features
            features = features.index_copy(0, rows, part)
        return features, network.neck(features)

    @property
    def _device(self) -> torch.device:
        return next(self.module.parameters()).device
