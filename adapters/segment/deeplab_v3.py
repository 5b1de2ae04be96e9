"""DeepLabV3: convolutions of several rates side by side on the last map."""

from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn
from torchvision.models.segmentation.deeplabv3 import ASPP

from adapters.segment.base import Segmenter, SegmentParams, block, grouped
from studio.core.registry import register


class DeepLabParams(SegmentParams):
    width: int = Field(256, ge=16, le=1024, description="channels of the head")
    rate: int = Field(
        6, ge=1, le=24, description="smallest rate of the dilated convolutions; the others are two and three times it"
    )
    pyramid_dropout: float = Field(0.5, ge=0, lt=1, description="dropout behind the dilated convolutions")


class DeepLabV3Params(DeepLabParams):
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout before the last layer; the paper has none")


def aspp(channels: int, params: DeepLabParams) -> nn.Module:
    """Atrous spatial pyramid pooling of torchvision, with group normalisation. Chen et al. 2017, section 3.3."""
    pyramid = grouped(ASPP(channels, [params.rate, 2 * params.rate, 3 * params.rate], params.width))
    pyramid.project[-1].p = params.pyramid_dropout
    return pyramid


class DeepLabHead(nn.Module):
    def __init__(self, channels: int, classes: int, params: DeepLabV3Params) -> None:
        super().__init__()
        width = params.width
        self.layers = nn.Sequential(aspp(channels, params), block(width, width), nn.Dropout(params.dropout))
        self.classifier = nn.Conv2d(width, classes, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        return self.classifier(self.layers(maps[-1]))


@register("segment/deeplabv3")
class DeepLabV3(Segmenter):
    """Pooling and dilated convolutions of three rates on the last map, joined (torchvision's ASPP), and a 3x3 layer.

    The paper's backbones have an output stride of 16 or 8: name them so, as in timm/resnet50?output_stride=16.
    """

    title = "DeepLabV3"
    paper = "Chen et al. 2017, Rethinking Atrous Convolution for Semantic Image Segmentation, arXiv 1706.05587"
    Params = DeepLabV3Params
    strides: ClassVar[tuple[int, ...]] = (16, 32)
    auxiliary_on: ClassVar[int | None] = 0

    def head(self, channels: list[int], classes: int) -> nn.Module:
        return DeepLabHead(channels[-1], classes, self.params)
