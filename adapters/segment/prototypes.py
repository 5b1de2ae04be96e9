"""Few-shot segmentation: the mean features of each class under a few masks; nothing is trained."""

from collections.abc import Iterable
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, normalize, one_hot

from adapters.backbones.pyramid_maps import PyramidMaps, resized
from adapters.segment.base import Segmenter
from studio.core.faces import LearnerContext
from studio.core.registry import Params, register
from studio.data.masks.class_map import VOID

SCALE = 10.0  # of cosines, as scores
PURE = 0.5  # share of a place that a class must cover for the place to count as its
MOST = 20_000  # places of a class that are kept to be divided into parts


class PrototypeParams(Params):
    parts: int = Field(3, ge=1, le=50, description="prototypes a class, by k-means of its places; 1 is the mean of all")


class PrototypeNetwork(nn.Module):
    """images [B, 3, H, W] -> cosines with the nearest prototype of each class, times 10, at stride 8."""

    def __init__(self, maps: PyramidMaps, classes: int, parts: int) -> None:
        super().__init__()
        self.maps = maps
        dim = sum(maps.channels)
        self.register_buffer("centre", torch.zeros(dim))
        self.register_buffer("prototypes", torch.zeros(classes, parts, dim))
        self.register_buffer("known", torch.zeros(classes, dtype=torch.bool))

    def features(self, images: Tensor) -> Tensor:
        """All maps at the size of the finest, each brought to length 1 at every place: [B, D, h, w]."""
        maps = self.maps(images)
        return torch.cat([resized(normalize(one.float()), maps[0].shape[-2:]) for one in maps], dim=1)

    def forward(self, images: Tensor) -> Tensor:
        features = normalize(self.features(images) - self.centre.view(1, -1, 1, 1))
        cosines = torch.einsum("bdhw,cpd->bcphw", features, self.prototypes).amax(dim=2)
        return torch.where(self.known.view(1, -1, 1, 1), SCALE * cosines, cosines.new_tensor(-SCALE))


@register("segment/prototypes")
class Prototypes(Segmenter):
    """A place gets the class whose prototype its features are nearest to by angle (masked average pooling, eq. 1-2).

    On three maps of a frozen backbone, their mean over the given images taken away first; several prototypes a class by
    k-means. One image with a mask is enough to begin; it is solved in the time of one look at the images.
    """

    title = "Prototypes of masks"
    paper = "Wang et al. 2019, PANet: Few-Shot Image Semantic Segmentation with Prototype Alignment, ICCV"
    Params = PrototypeParams
    uses = ("data.train", "model.image_size")
    strides: ClassVar[tuple[int, ...]] = (8, 16, 32)
    solved: ClassVar[bool] = True

    def setup(self, context: LearnerContext) -> nn.Module:
        self._backbone = context.backbone.requires_grad_(False)
        maps = PyramidMaps(context.backbone, self.strides)
        self.module = PrototypeNetwork(maps, len(context.classes), self.params.parts)
        return self.module

    def train_mode(self, training: bool) -> None:
        self.module.eval()

    @torch.inference_mode()
    def solve(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Prototypes from images [B, 3, h, w] and their maps uint8 [B, h, w]."""
        module = self.module
        classes = len(module.known)
        places: list[list[Tensor]] = [[] for _ in range(classes)]
        for images, masks in batches:
            features = module.features(images)
            covered = coverage(masks, classes, features.shape[-2:])
            flat = features.permute(0, 2, 3, 1).flatten(0, 2)
            for label in range(classes):
                places[label].append(flat[_pure(covered[:, label].reshape(-1))].cpu())
        joined = [torch.cat(parts) for parts in places]
        means = [rows.mean(0) for rows in joined if len(rows)]
        centre = torch.stack(means).mean(0)  # of the classes, so that a large one does not draw it to itself
        module.centre.copy_(centre)
        for label, rows in enumerate(joined):
            if len(rows):
                module.known[label] = True
                module.prototypes[label].copy_(_prototypes(normalize(rows - centre), self.params.parts))


def coverage(masks: Tensor, classes: int, size: torch.Size) -> Tensor:
    """The share of each place that each class covers, float [B, C, h, w], of maps uint8 [B, H, W]."""
    index = masks.long().masked_fill(masks == VOID, classes)
    return adaptive_avg_pool2d(one_hot(index, classes + 1).permute(0, 3, 1, 2).float(), tuple(size))[:, :classes]


def _pure(share: Tensor) -> Tensor:
    """Places that are mostly of a class; those that have most of it where none is."""
    found = share >= PURE
    return found if found.any() else (share > 0) & (share == share.max())


def _prototypes(rows: Tensor, parts: int) -> Tensor:
    """Unit vectors [parts, D] for directions [N, D]; the first is repeated where there are too few."""
    rows = rows[:: max(1, len(rows) // MOST)]
    if parts == 1 or len(rows) < 2 * parts:
        return normalize(rows.mean(0, keepdim=True)).expand(parts, -1)
    from sklearn.cluster import KMeans

    found = KMeans(parts, n_init=1, random_state=0).fit(rows.double().numpy()).cluster_centers_
    return normalize(torch.from_numpy(found.astype(np.float32)))
