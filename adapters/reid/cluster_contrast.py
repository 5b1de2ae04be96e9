"""Cluster contrast: an image against a prototype of every cluster, which its own images move."""

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from adapters.reid.clusterer import Clusterer, ClusterParams
from adapters.reid.clustering import Clusters, centroids
from adapters.reid.memory import contrast, moved
from studio.core.registry import register
from studio.core.streams import Batch, Step


class ClusterContrastParams(ClusterParams):
    temperature: float = Field(0.05, gt=0, le=1, description="lower looks harder at the nearest wrong cluster")
    momentum: float = Field(0.1, ge=0, lt=1, description="share of a prototype that stays when an image moves it")


@register("reid/cluster-contrast")
class ClusterContrast(Clusterer):
    """Each cluster has one prototype, first its mean; the loss is -log of the own prototype's share among all.

    Every image of a batch then moves the prototype of its cluster: one update a cluster and step, whatever the size of
    the cluster, so that all are of about the same network. Images in no cluster take no part until they are clustered
    again. Dai et al. 2021, section 3.2.
    """

    title = "Cluster contrast"
    paper = "Dai et al. 2021, Cluster Contrast for Unsupervised Person Re-Identification"
    Params = ClusterContrastParams

    def remembered(self, images: int) -> dict[str, Tensor]:
        room = torch.zeros(images // self.params.least + 1, self.module.dim)
        return {"prototypes": room, "following": room.clone(), "count": torch.zeros(1, dtype=torch.int64)}

    def follow(self, features: Tensor, clusters: Clusters) -> None:
        super().follow(features, clusters)
        means = centroids(features.to(self.memory.labels.device), self.memory.labels, clusters.count)
        prototypes = normalize(means, dim=1)
        self.memory.keep(prototypes=prototypes, following=prototypes, count=torch.tensor([clusters.count]))

    def losses(self, batch: Batch, at: Step) -> dict[str, Tensor]:
        memory, count = self.memory, int(self.memory.count)
        embeddings = normalize(self.through(self.module, batch.images, batch)[1].float(), dim=1)
        labels = memory.labels[batch.index]
        memory.keep(following=moved(memory.following[:count], embeddings.detach(), labels, self.params.momentum))
        return {"contrast": contrast(embeddings, memory.prototypes[:count], labels, self.params.temperature).mean()}

    def moved(self, at: Step) -> None:
        self.memory.keep(prototypes=self.memory.following)
