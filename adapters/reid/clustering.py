"""Pseudo-labels: clusters of images by their k-reciprocal Jaccard distance, and how good they look without labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from adapters.reid.camera_jaccard import neighbourhoods_by_camera
from adapters.reid.jaccard import jaccard_within, neighbourhoods
from studio.core.errors import UsageError

LEFT_OUT = -1  # the label of an image that is in no cluster
SAMPLED = 2000  # images at most that a silhouette is of


@dataclass(frozen=True)
class Clusters:
    """labels int64 [N]: the cluster of each image, from 0 on without gaps, or LEFT_OUT."""

    labels: np.ndarray

    @property
    def count(self) -> int:
        return int(self.labels.max(initial=-1)) + 1

    @property
    def left_out(self) -> float:
        """The share of images that are in no cluster."""
        return float((self.labels == LEFT_OUT).mean())


@dataclass(frozen=True)
class Neighbours:
    """Which images are near each other: Jaccard distances [N, N] up to `radius`, the others not stored."""

    distances: csr_matrix
    radius: float

    @classmethod
    def of(
        cls, features: Tensor, radius: float, k1: int = 30, k2: int = 6, device: str = "cpu",
        cameras: np.ndarray | None = None,
    ) -> "Neighbours":  # fmt: skip
        """Of features [N, D]; `k1` and `k2` are those of `neighbourhoods`.

        With `cameras` int64 [N] neighbours of the own camera and of others are looked for apart. Raises UsageError
        unless 0 < radius < 1.
        """
        if not 0 < radius < 1:
            raise UsageError(f"A radius of Jaccard distances lies between 0 and 1; found {radius:g}.")
        if cameras is None:
            rows = neighbourhoods(features, k1, k2, device=device)
        else:
            rows = neighbourhoods_by_camera(features, cameras, k1, k2, device)
        return cls(jaccard_within(rows, radius), radius)

    def clusters(self, eps: float, least: int) -> Clusters:
        """DBSCAN (Ester et al. 1996): images with `least` within `eps`, themselves counted, and what is near them."""
        from sklearn.cluster import DBSCAN

        near = self.distances.copy()
        near.data = np.where(near.data <= eps, near.data, 1.0)  # 1: not near, whatever eps
        return Clusters(DBSCAN(eps=eps, min_samples=least, metric="precomputed").fit_predict(near).astype(np.int64))


def numbered(labels: np.ndarray) -> Clusters:
    """Labels [N] without gaps, in their order; LEFT_OUT stays."""
    kept, places = np.unique(labels, return_inverse=True)
    shift = int(len(kept) > 0 and kept[0] == LEFT_OUT)
    return Clusters(places.reshape(labels.shape).astype(np.int64) - shift)


def agreement(labels: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Of each image, how alike its clusters under two clusterings [N] are: both / either, 0..1.

    An image that is left out is a cluster of its own. Ge et al. 2020 (SpCL), eq. 4-5.
    """
    labels, others = (_alone(each) for each in (labels, others))
    _, pair, both = np.unique(np.stack([labels, others]), axis=1, return_inverse=True, return_counts=True)
    shared, sizes = both[pair.reshape(-1)], np.bincount(labels)[labels] + np.bincount(others)[others]
    return shared / (sizes - shared)


def silhouette(features: np.ndarray, clusters: Clusters, seed: int = 0) -> float:
    """How well the clusters of features [N, D] stand apart, -1..1; an image that is left out counts as 0.

    Rousseeuw 1987, by cosine, on at most SAMPLED images. Needs no label: it may choose an epoch.
    """
    from sklearn.metrics import silhouette_samples

    rows = np.flatnonzero(clusters.labels >= 0)
    rows = np.sort(np.random.default_rng(seed).permutation(rows)[:SAMPLED])
    labels = clusters.labels[rows]
    if len(np.unique(labels)) < 2 or len(np.unique(labels)) == len(labels):
        return 0.0
    return float(silhouette_samples(features[rows], labels, metric="cosine").mean() * (1 - clusters.left_out))


def of_one_camera(clusters: Clusters, cameras: Sequence[str]) -> float:
    """Of the images in a cluster, the share whose cluster holds images of one of the `cameras` [N] alone."""
    inside = clusters.labels >= 0
    pairs = np.unique(np.stack([clusters.labels[inside], np.unique(cameras, return_inverse=True)[1][inside]]), axis=1)
    several = np.bincount(pairs[0], minlength=clusters.count) > 1
    return 1 - float(several[clusters.labels[inside]].mean()) if inside.any() else 0.0


def centroids(features: Tensor, labels: Tensor, count: int) -> Tensor:
    """The mean [count, D] of the features [N, D] of each cluster; those left out belong to none."""
    chosen = labels >= 0
    sums = torch.zeros(count, features.shape[1], dtype=features.dtype, device=features.device)
    sums.index_add_(0, labels[chosen], features[chosen])
    sizes = torch.bincount(labels[chosen], minlength=count).clamp_min(1)
    return sums / sizes[:, None]


def _alone(labels: np.ndarray) -> np.ndarray:
    """Images that are left out as clusters of their own."""
    out = labels == LEFT_OUT
    return np.where(out, labels.max(initial=-1) + np.cumsum(out), labels)
