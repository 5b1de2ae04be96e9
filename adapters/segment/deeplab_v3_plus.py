"""DeepLabV3+: DeepLabV3's map enlarged, and refined with a fine one."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from adapters.backbones.pyramid_maps import resized
from adapters.segment.base import Segmenter, block, separable
from adapters.segment.deeplab_v3 import DeepLabParams, aspp
from studio.core.registry import register

FINE = 48  # channels that the fine map is reduced to; section 4.1


class DeepLabPlusHead(nn.Module):
    """Maps at strides 4 and 32 -> logits at stride 4."""

    def __init__(self, channels: list[int], classes: int, params: DeepLabParams) -> None:
        super().__init__()
        width = params.width
        self.aspp = aspp(channels[-1], params)
        self.fine = block(channels[0], FINE, 1)
        self.refine = nn.Sequential(separable(width + FINE, width), separable(width, width), nn.Dropout(params.dropout))
        self.classifier = nn.Conv2d(width, classes, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        coarse = resized(self.aspp(maps[-1]), maps[0].shape[-2:])
        return self.classifier(self.refine(torch.cat([coarse, self.fine(maps[0])], dim=1)))


@register("segment/deeplabv3-plus")
class DeepLabV3Plus(Segmenter):
    """DeepLabV3's map, enlarged to stride 4, beside a fine one of 48 channels; two separable layers refine both."""

    title = "DeepLabV3+"
    paper = "Chen et al. 2018, Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation, ECCV"
    Params = DeepLabParams
    strides: ClassVar[tuple[int, ...]] = (4, 32)

    def head(self, channels: list[int], classes: int) -> nn.Module:
        return DeepLabPlusHead(channels, classes, self.params)
