"""SpCL: only clusters that stay the same under a looser and a tighter eye are learned from; others image by image."""

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from adapters.reid.clusterer import Clusterer, ClusterParams
from adapters.reid.clustering import LEFT_OUT, Clusters, Neighbours, agreement, centroids, numbered
from adapters.reid.memory import contrast, moved
from studio.core.registry import register
from studio.core.streams import Batch, Step


class SpclParams(ClusterParams):
    temperature: float = Field(0.05, gt=0, le=1, description="lower looks harder at the nearest wrong one")
    momentum: float = Field(0.2, ge=0, lt=1, description="share of a remembered image that stays when it is seen again")
    gap: float = Field(
        0.02, ge=0, le=0.2, description="by which eps is larger and smaller for the looser and tighter eye"
    )
    independent: float = Field(
        0.9, ge=0, le=1, description="share of the first clusters whose independence is enough, from then on for all"
    )


@register("reid/spcl")
class Spcl(Clusterer):
    """A memory of every image: a cluster is the mean of its images, an image in no cluster is a class by itself.

    A cluster is learned from where it is nearly the same with a larger eps (independence, eq. 4, at least that of 90 %
    of the first clusters), and of it the images that keep their cluster best with a smaller one (compactness, eq. 5,
    the cluster's maximum). The rest is set free, and contrasted image by image (eq. 1-3).

    Ge et al. 2020. The source's classes do not stand in the memory: the source trains the network before, as for the
    other methods here. The memory is filled anew whenever images are clustered.
    """

    title = "SpCL"
    paper = "Ge et al. 2020, Self-paced Contrastive Learning with Hybrid Memory for Domain Adaptive Object Re-ID"
    Params = SpclParams

    def remembered(self, images: int) -> dict[str, Tensor]:
        room = torch.zeros(images, self.module.dim)
        known, alone = torch.full((1,), torch.nan), torch.arange(images)
        return {"images": room, "following": room.clone(), "places": alone, "independence": known}

    @property
    def reach(self) -> float:
        return min(self.params.eps + self.params.gap, 0.99)

    def clusters(self, neighbours: Neighbours) -> Clusters:
        eps, least = self.params.eps, self.params.least
        whole, loose, tight = (
            neighbours.clusters(radius, least) for radius in (eps, self.reach, eps - self.params.gap)
        )
        independence = best_of_each(agreement(whole.labels, loose.labels), whole)
        if not torch.isfinite(self.memory.independence).all() and whole.count:
            enough = float(np.quantile(independence, 1 - self.params.independent, method="lower"))
            self.memory.keep(independence=torch.tensor([enough]))
        return reliable(whole, independence, agreement(whole.labels, tight.labels), float(self.memory.independence))

    def follow(self, features: Tensor, clusters: Clusters) -> None:
        super().follow(features, clusters)
        free = clusters.labels == LEFT_OUT
        places = np.where(free, clusters.count + np.cumsum(free) - 1, clusters.labels)
        self.memory.keep(images=features, following=features, places=torch.from_numpy(places))

    @property
    def labels(self) -> np.ndarray:
        """Images in no cluster are drawn too, each as a class of its own."""
        return self.memory.places.cpu().numpy()

    def losses(self, batch: Batch, at: Step) -> dict[str, Tensor]:
        memory = self.memory
        embeddings = normalize(self.through(self.module, batch.images, batch)[1].float(), dim=1)
        prototypes = centroids(memory.images, memory.places, int(memory.places.max()) + 1)
        memory.keep(following=moved(memory.following, embeddings.detach(), batch.index, self.params.momentum))
        places = memory.places[batch.index]
        return {"contrast": contrast(embeddings, prototypes, places, self.params.temperature).mean()}

    def moved(self, at: Step) -> None:
        self.memory.keep(images=self.memory.following)


def best_of_each(values: np.ndarray, clusters: Clusters) -> np.ndarray:
    """The largest of values [N] in each cluster, [K]."""
    best = np.zeros(clusters.count)
    inside = clusters.labels >= 0
    np.maximum.at(best, clusters.labels[inside], values[inside])
    return best


def reliable(clusters: Clusters, independence: np.ndarray, compactness: np.ndarray, enough: float) -> Clusters:
    """What of clusters is learned from: independent ones [K], and of these the images that are most compact [N].

    A cluster of which one image is left is set free.
    """
    best = best_of_each(compactness, clusters)
    place = np.maximum(clusters.labels, 0)
    kept = clusters.labels >= 0
    if clusters.count:
        kept &= (independence[place] >= enough) & (compactness >= best[place])
    labels = np.where(kept, clusters.labels, LEFT_OUT)
    counts = np.bincount(labels[kept], minlength=clusters.count)
    if clusters.count:
        labels = np.where(kept & (counts[place] < 2), LEFT_OUT, labels)
    return numbered(labels)
