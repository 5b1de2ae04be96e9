"""LR-ASPP: the last map gated by what the whole image shows, and the scores of a finer one added."""

from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn
from torchvision.models.segmentation.lraspp import LRASPPHead as TorchvisionHead

from adapters.backbones.pyramid_maps import resized
from adapters.segment.base import Segmenter, SegmentParams, grouped
from studio.core.registry import register


class LRASPPParams(SegmentParams):
    width: int = Field(128, ge=16, le=512, description="channels of the head")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout before the last layer; the paper has none")


class LRASPPHead(nn.Module):
    """Maps at strides 8 and 16 -> logits at stride 8, by torchvision's layers with group normalisation."""

    def __init__(self, channels: list[int], classes: int, width: int, dropout: float) -> None:
        super().__init__()
        made = grouped(TorchvisionHead(channels[0], channels[1], classes, width))
        self.layers, self.gate, self.dropout = made.cbr, made.scale, nn.Dropout(dropout)
        self.classifiers = nn.ModuleList([made.low_classifier, made.high_classifier])

    def forward(self, maps: list[Tensor]) -> Tensor:
        fine, coarse = maps
        gated = resized(self.layers(coarse) * self.gate(coarse), fine.shape[-2:])
        return self.classifiers[0](fine) + self.classifiers[1](self.dropout(gated))


@register("segment/lraspp")
class LRASPP(Segmenter):
    """A 1x1 layer on the map of stride 16, gated by its global mean, enlarged and added to the scores of stride 8.

    The smallest of the heads (torchvision's), made for phones.
    """

    title = "LR-ASPP"
    paper = "Howard et al. 2019, Searching for MobileNetV3, ICCV, section 6.3"
    Params = LRASPPParams
    strides: ClassVar[tuple[int, ...]] = (8, 16)

    def head(self, channels: list[int], classes: int) -> nn.Module:
        return LRASPPHead(channels, classes, self.params.width, self.params.dropout)
