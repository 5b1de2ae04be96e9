"""What a meta-trained checkpoint predicts with: its network as a backbone, and photos of each class as support."""

import numpy as np
import torch
from torch import Tensor

from fewshot.meta.base import MetaLearner
from fewshot.meta.tasks import Pool, to_float
from fewshot.support import SupportSet
from fewshot.thumbnails import SIDE
from studio.data import read_image

MOST_SUPPORTS = 1000  # photos that a checkpoint is taught with at first, shared among its classes


class LearnedBackbone:
    """A learner's embedding, as a backbone: what photos are embedded with."""

    def __init__(self, learner: MetaLearner) -> None:
        self.learner, self.preprocess = learner, learner.preprocess

    def embed(self, images: Tensor) -> Tensor:
        return self.learner.embed(images)


def gather_support(learner: MetaLearner, pools: list[Pool], device: str) -> SupportSet:
    """The first photos of each class as a support set, at most about `MOST_SUPPORTS` in all."""
    classes = sum(len(pool.dataset.classes) for pool in pools)
    each = max(1, MOST_SUPPORTS // classes)
    support: SupportSet | None = None
    for pool in pools:
        labels = pool.dataset.labels
        rows = np.concatenate([np.flatnonzero(labels == label)[:each] for label in range(len(pool.dataset.classes))])
        features = embed_rows(learner, pool, rows, device)
        items = [pool.dataset.items[row] for row in rows]
        names = [pool.dataset.classes[item.label] for item in items]
        images = [read_image(item.source, item.name, min_side=SIDE) for item in items]
        support = support or SupportSet.empty(features.shape[1])
        support = support.with_photos(features, names, [item.name for item in items], images)
    assert support is not None
    return support


@torch.no_grad()
def embed_rows(learner: MetaLearner, pool: Pool, rows: np.ndarray, device: str) -> np.ndarray:
    """Features [n, D] of the images `rows` of a pool. Train images may be kept larger than the input."""
    learner.train_mode(False)
    size = learner.preprocess.image_size
    parts = []
    for part in torch.from_numpy(rows).split(256):
        images = to_float(pool.images(part).to(device), learner.preprocess)
        if images.shape[-1] != size:
            images = torch.nn.functional.interpolate(images, size=size, mode="area")
        parts.append(learner.embed(images).float().cpu())
    return torch.cat(parts).numpy()
