"""The two stages of torchvision's Faster R-CNN taken apart: what is learned of each region, and from which regions."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, smooth_l1_loss

ALIKE = 0.7  # overlap above which two regions would teach the same
SMOOTH = 1 / 9  # where the loss of corners goes over from square to straight, as torchvision has it


@dataclass
class Regions:
    """Maps of the pyramid {level: [B, C, h, w]}, features [R, D] of all regions, and the image of each [R]."""

    maps: "OrderedDict[str, Tensor]"
    features: Tensor
    image_of: Tensor


def rpn_roi_losses(
    module: Any, images: Tensor, targets: list[dict[str, Tensor]], hard: int | None = None
) -> tuple[dict[str, Tensor], Regions]:
    """The four losses of both stages, and the regions they are of, in training mode.

    `hard`: of all regions drawn, learn from so many an image, those with the highest loss (`hardest`).
    """
    batch, targets = module.transform(list(images), targets)
    maps = module.backbone(batch.tensors)
    proposals, losses = module.rpn(batch, maps, targets)
    heads = module.roi_heads
    proposals, _, labels, deltas = heads.select_training_samples(proposals, targets)
    regions = _regions(heads, maps, proposals, batch.image_sizes)
    logits, moved = heads.box_predictor(regions.features)
    classified, placed = _each(logits, moved, torch.cat(labels), torch.cat(deltas))
    if hard is None:
        kept = torch.arange(len(classified), device=classified.device)
    else:
        kept = hardest(torch.cat(proposals), (classified + placed).detach(), regions.image_of, hard)
    count = max(1, len(kept))
    losses |= {"loss_classifier": classified[kept].sum() / count, "loss_box_reg": placed[kept].sum() / count}
    return losses, regions


def propose_unlabelled(module: Any, images: Tensor) -> Regions:
    """The regions that are proposed in images without labels; in training mode, with gradients."""
    batch, _ = module.transform(list(images), None)
    maps = module.backbone(batch.tensors)
    module.rpn.eval()  # in training mode it asks for labels
    with torch.no_grad():
        proposals, _ = module.rpn(batch, maps)
    module.rpn.train()
    most = module.roi_heads.fg_bg_sampler.batch_size_per_image
    return _regions(module.roi_heads, maps, [boxes[:most] for boxes in proposals], batch.image_sizes)


def hardest(boxes: Tensor, losses: Tensor, image_of: Tensor, count: int) -> Tensor:
    """Rows of the `count` regions of each image whose loss is highest, none of which lie on each other.

    Shrivastava et al. 2016, Training Region-based Object Detectors with Online Hard Example Mining, section 4.2.
    """
    from torchvision.ops import batched_nms

    rows = batched_nms(boxes, losses, image_of, ALIKE)  # the hardest first
    rank = torch.zeros_like(rows)
    for image in image_of.unique():
        rows_of = image_of[rows] == image
        rank[rows_of] = torch.arange(int(rows_of.sum()), device=rows.device)
    return rows[rank < count]


def _regions(heads: Any, maps: "OrderedDict[str, Tensor]", proposals: list[Tensor], sizes: list[Any]) -> Regions:
    features = heads.box_head(heads.box_roi_pool(maps, proposals, sizes))
    counts = torch.tensor([len(boxes) for boxes in proposals], device=features.device)
    return Regions(maps, features, torch.arange(len(proposals), device=features.device).repeat_interleave(counts))


def _each(logits: Tensor, moved: Tensor, labels: Tensor, deltas: Tensor) -> tuple[Tensor, Tensor]:
    """The losses [R] of class and of place; background (label 0) has no place to learn."""
    classified = cross_entropy(logits, labels, reduction="none")
    of_class = moved.reshape(len(labels), -1, 4)[torch.arange(len(labels), device=labels.device), labels]
    learns = (labels > 0)[:, None]
    deltas = torch.where(learns, deltas, of_class.detach())  # without any box they are infinite, which times 0 is NaN
    return classified, smooth_l1_loss(of_class, deltas, beta=SMOOTH, reduction="none").sum(dim=1)
