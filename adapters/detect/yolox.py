"""YOLOX: one box a place, what and where in two branches, and places that bid for what they learn."""

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot
from torchvision.ops import batched_nms

from adapters.detect.base import LEAST, DetectParams, TorchvisionDetector
from adapters.detect.classes import ClassRows
from adapters.detect.pyramid import Pyramid
from adapters.detect.sim_ota import assign
from studio.core.registry import register

RARE = 0.01  # probability that an untrained head gives a place, so that the many empty ones do not drown the rest
PLACED = 5.0  # weight of the loss of places
WIDEST = 8.0  # log of a side in strides: keeps an untrained head from infinite boxes


class YoloxParams(DetectParams):
    width: int = Field(96, ge=32, le=512, multiple_of=32, description="channels of the pyramid and the heads")
    depth: int = Field(2, ge=1, le=4, description="convolutions in each branch of a head; the paper has 2")


@register("detect/yolox")
class YoloX(TorchvisionDetector):
    """One-stage and without anchors; class and place have a branch each, and SimOTA says which places learn a box.

    Ge et al. 2021, section 2.1, written here on any timm backbone with a feature pyramid; with group in place of
    batch normalisation in the heads, so that small batches train, and without the last epochs' L1 loss.
    """

    title = "YOLOX"
    paper = "Ge et al. 2021, YOLOX: Exceeding YOLO Series in 2021"
    Params = YoloxParams
    class_rows: ClassVar = {r"heads\.\d+\.classes\.": ClassRows()}
    box_layers = (r"heads\.\d+\.place\.",)

    def build(self, backbone: Any, classes: int, size: int) -> nn.Module:
        pyramid = Pyramid(backbone, self.params.width)
        return _Yolox(pyramid, classes, self.params.depth, self.params.nms, self.params.most)


class _Yolox(nn.Module):
    """Called as torchvision's detectors are: with targets it gives losses, else what it finds in each image."""

    def __init__(self, pyramid: Pyramid, classes: int, depth: int, nms: float, most: int) -> None:
        super().__init__()
        self.pyramid, self.classes, self.nms_thresh, self.detections_per_img = pyramid, classes, nms, most
        self.heads = nn.ModuleList(_Head(pyramid.out_channels, classes, depth) for _ in range(pyramid.levels))

    def forward(self, images: list[Tensor], targets: list[dict[str, Tensor]] | None = None) -> Any:
        batch = torch.stack(images)
        answers = [head(level) for head, level in zip(self.heads, self.pyramid(batch).values(), strict=True)]
        centres, strides = _grid(answers, batch.shape[-1])
        flat = torch.cat([one.flatten(2) for one in answers], dim=2).transpose(1, 2)  # [B, A, 5 + C]
        boxes = _boxes(flat[..., :4], centres, strides)
        if targets is not None:
            return self._losses(boxes, flat[..., 4], flat[..., 5:], centres, strides, targets)
        return [self._found(*one, batch.shape[-1]) for one in zip(boxes, flat[..., 4], flat[..., 5:], strict=True)]

    def _losses(
        self, boxes: Tensor, objectness: Tensor, logits: Tensor, centres: Tensor, strides: Tensor,
        targets: list[dict[str, Tensor]],
    ) -> dict[str, Tensor]:  # fmt: skip
        """IoU loss of places, and cross-entropies of objectness and class, over the number of places that learn."""
        there = torch.zeros_like(objectness)
        placed, classified, count = boxes.sum() * 0, logits.sum() * 0, 0
        for row, target in enumerate(targets):
            truth, labels = target["boxes"], target["labels"]
            places, taken, overlaps = assign(
                boxes[row].float(), logits[row].float(), objectness[row].float(), centres, strides, truth, labels
            )
            there[row, places] = 1.0
            count += len(places)
            wanted = one_hot(labels[taken], self.classes) * overlaps[:, None]
            placed = placed + (1 - _iou(boxes[row, places], truth[taken]) ** 2).sum()
            classified = classified + binary_cross_entropy_with_logits(
                logits[row, places], wanted.to(logits.dtype), reduction="sum"
            )
        seen = binary_cross_entropy_with_logits(objectness, there, reduction="sum")
        count = max(1, count)
        return {"box": PLACED * placed / count, "objectness": seen / count, "classification": classified / count}

    def _found(self, boxes: Tensor, objectness: Tensor, logits: Tensor, side: int) -> dict[str, Tensor]:
        scores, labels = (logits.sigmoid() * objectness.sigmoid()[:, None]).max(dim=1)
        kept = scores > LEAST
        boxes, scores, labels = boxes[kept].clamp(0, side), scores[kept], labels[kept]
        order = batched_nms(boxes, scores, labels, self.nms_thresh)[: self.detections_per_img]
        return {"boxes": boxes[order], "labels": labels[order], "scores": scores[order]}


class _Head(nn.Module):
    """A map [B, W, h, w] -> [B, 5 + C, h, w]: offsets and logs of sides (4), objectness (1), classes (C)."""

    def __init__(self, width: int, classes: int, depth: int) -> None:
        super().__init__()
        self.stem = _layer(width, 1)
        self.what = nn.Sequential(*(_layer(width, 3) for _ in range(depth)))
        self.where = nn.Sequential(*(_layer(width, 3) for _ in range(depth)))
        self.classes, self.place = nn.Conv2d(width, classes, 1), nn.Conv2d(width, 5, 1)
        rare = -torch.log(torch.tensor((1 - RARE) / RARE))
        nn.init.constant_(self.classes.bias, float(rare))
        nn.init.zeros_(self.place.bias[:4].detach())
        nn.init.constant_(self.place.bias[4:].detach(), float(rare))

    def forward(self, level: Tensor) -> Tensor:
        level = self.stem(level)
        return torch.cat([self.place(self.where(level)), self.classes(self.what(level))], dim=1)


def _layer(width: int, side: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width, width, side, padding=side // 2, bias=False), nn.GroupNorm(width // 16, width), nn.SiLU()
    )


def _grid(answers: list[Tensor], side: int) -> tuple[Tensor, Tensor]:
    """Middles [A, 2] and strides [A] in pixels of all places of all levels, rows first."""
    centres, strides = [], []
    for one in answers:
        height, width = one.shape[-2:]
        stride = side / width
        y, x = torch.meshgrid(
            torch.arange(height, device=one.device), torch.arange(width, device=one.device), indexing="ij"
        )
        centres.append((torch.stack([x, y], dim=2).reshape(-1, 2) + 0.5) * stride)
        strides.append(torch.full((height * width,), stride, device=one.device))
    return torch.cat(centres), torch.cat(strides)


def _boxes(answers: Tensor, centres: Tensor, strides: Tensor) -> Tensor:
    """Corners [B, A, 4] in pixels: the middle is an offset from the place, the sides are powers of e, in strides."""
    middle = centres + answers[..., :2] * strides[:, None]
    half = answers[..., 2:].clamp(max=WIDEST).exp() * strides[:, None] / 2
    return torch.cat([middle - half, middle + half], dim=-1)


def _iou(first: Tensor, second: Tensor) -> Tensor:
    """IoU [P] of boxes row by row."""
    sides = (torch.minimum(first[:, 2:], second[:, 2:]) - torch.maximum(first[:, :2], second[:, :2])).clamp(min=0)
    overlap = sides.prod(dim=1)
    areas = sum((one[:, 2:] - one[:, :2]).prod(dim=1) for one in (first, second))
    return overlap / (areas - overlap).clamp(min=1e-9)
