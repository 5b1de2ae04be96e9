"""PSPNet: the last map beside its means over the whole image and over its parts."""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from adapters.backbones.pyramid_maps import resized
from adapters.segment.base import Segmenter, SegmentParams, block
from studio.core.registry import register

BINS = (1, 2, 3, 6)


class PSPParams(SegmentParams):
    width: int = Field(256, ge=32, le=1024, multiple_of=4, description="channels of the head; 512 in the paper")


class PyramidPooling(nn.Module):
    """Features [B, C, h, w] -> [B, width, h, w], from themselves and their means in 1, 2 x 2, 3 x 3 and 6 x 6 cells."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.reduce = nn.ModuleList(block(channels, width // len(BINS), 1) for _ in BINS)
        self.join = block(channels + width, width)

    def forward(self, features: Tensor) -> Tensor:
        size = features.shape[-2:]
        pooled = [
            resized(reduce(_means(features, cells)), size) for reduce, cells in zip(self.reduce, BINS, strict=True)
        ]
        return self.join(torch.cat([features, *pooled], dim=1))


def _means(features: Tensor, cells: int) -> Tensor:
    """Means in cells x cells parts, as far as the map has so many places."""
    height, width = (min(cells, side) for side in features.shape[-2:])
    return nn.functional.adaptive_avg_pool2d(features, (height, width))


class PSPHead(nn.Module):
    def __init__(self, channels: int, classes: int, width: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(PyramidPooling(channels, width), nn.Dropout2d(dropout))
        self.classifier = nn.Conv2d(width, classes, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        return self.classifier(self.layers(maps[-1]))


@register("segment/pspnet")
class PSPNet(Segmenter):
    """Means of the last map over the whole image and over 4, 9 and 36 parts of it, enlarged and joined with it.

    With the auxiliary loss of section 3.3. The paper's backbones have an output stride of 8, as in
    timm/resnet50?output_stride=8.
    """

    title = "PSPNet"
    paper = "Zhao et al. 2017, Pyramid Scene Parsing Network, CVPR"
    Params = PSPParams
    strides: ClassVar[tuple[int, ...]] = (16, 32)
    auxiliary_on: ClassVar[int | None] = 0

    def head(self, channels: list[int], classes: int) -> nn.Module:
        return PSPHead(channels[-1], classes, self.params.width, self.params.dropout)
