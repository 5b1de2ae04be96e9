"""UPerNet: pyramid pooling at the top of a feature pyramid, whose levels are joined."""

from collections import OrderedDict
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork

from adapters.backbones.pyramid_maps import resized
from adapters.segment.base import Segmenter, SegmentParams, block
from adapters.segment.pspnet import PyramidPooling
from studio.core.registry import register


class UPerParams(SegmentParams):
    width: int = Field(128, ge=32, le=1024, multiple_of=4, description="channels of the head; 512 in the paper")


class UPerHead(nn.Module):
    """Maps at strides 4 to 32 -> logits at stride 4."""

    def __init__(self, channels: list[int], classes: int, width: int, dropout: float) -> None:
        super().__init__()
        self.pooling = PyramidPooling(channels[-1], width)
        self.pyramid = FeaturePyramidNetwork([*channels[:-1], width], width)
        self.join = block(len(channels) * width, width)
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(width, classes, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        maps = [*maps[:-1], self.pooling(maps[-1])]
        levels = list(self.pyramid(OrderedDict((str(place), one) for place, one in enumerate(maps))).values())
        size = levels[0].shape[-2:]
        return self.classifier(self.dropout(self.join(torch.cat([resized(one, size) for one in levels], dim=1))))


@register("segment/upernet")
class UPerNet(Segmenter):
    """Pyramid pooling (PSPNet's) on the last map, a feature pyramid (torchvision's) below it, all levels joined.

    The head that most papers on backbones measure with; of the paper's tasks only that of classes of pixels.
    """

    title = "UPerNet"
    paper = "Xiao et al. 2018, Unified Perceptual Parsing for Scene Understanding, ECCV"
    Params = UPerParams
    auxiliary_on: ClassVar[int | None] = 2

    def head(self, channels: list[int], classes: int) -> nn.Module:
        return UPerHead(channels, classes, self.params.width, self.params.dropout)
