"""U-Net: a way back up, at each step joined with the map of the same size from the way down."""

from itertools import pairwise
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from adapters.backbones.pyramid_maps import resized
from adapters.segment.base import Segmenter, SegmentParams, block
from studio.core.registry import register


class UNetParams(SegmentParams):
    width: int = Field(256, ge=32, le=1024, multiple_of=16, description="channels of the coarsest step; halved at each")


class UNetHead(nn.Module):
    """Maps at strides 2 to 32 -> logits at stride 2."""

    def __init__(self, channels: list[int], classes: int, width: int, dropout: float) -> None:
        super().__init__()
        widths = [channels[-1], *(max(16, width >> step) for step in range(len(channels) - 1))]
        self.steps = nn.ModuleList(
            nn.Sequential(block(before + skip, after), block(after, after))
            for (before, after), skip in zip(pairwise(widths), reversed(channels[:-1]), strict=True)
        )
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(widths[-1], classes, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        features = maps[-1]
        for step, skip in zip(self.steps, reversed(maps[:-1]), strict=True):
            features = step(torch.cat([resized(features, skip.shape[-2:]), skip], dim=1))
        return self.classifier(self.dropout(features))


@register("segment/unet")
class UNet(Segmenter):
    """From the coarsest map up: enlarged, joined with the map of the next stride, two 3x3 layers, down to stride 2.

    The backbone is the way down; enlarging is bilinear, in place of the paper's transposed convolutions.
    """

    title = "U-Net"
    paper = "Ronneberger, Fischer, Brox 2015, U-Net: Convolutional Networks for Biomedical Image Segmentation, MICCAI"
    Params = UNetParams
    strides: ClassVar[tuple[int, ...]] = (2, 4, 8, 16, 32)

    def head(self, channels: list[int], classes: int) -> nn.Module:
        return UNetHead(channels, classes, self.params.width, self.params.dropout)
