"""A light pyramid head: all maps brought to one width, summed at the finest, smoothed once."""

from pydantic import Field
from torch import Tensor, nn

from adapters.segment.base import Segmenter, SegmentParams, block, separable, summed
from studio.core.registry import register


class LightPyramidParams(SegmentParams):
    width: int = Field(96, ge=8, le=1024, description="channels of the head")
    backbone_lr: float = Field(
        0.3, ge=0, le=10, description="learning rate of the backbone, as a multiple of train.lr; 0 leaves it as it is"
    )


class LightPyramidHead(nn.Module):
    def __init__(self, channels: list[int], classes: int, width: int, dropout: float) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(block(one, width, 1) for one in channels)
        self.smooth = nn.ModuleList(separable(width, width) for _ in channels)
        self.mix = separable(width, width)
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(width, classes, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        maps = [
            smooth(lateral(one)) for smooth, lateral, one in zip(self.smooth, self.lateral, maps, strict=True)
        ]  # fmt: skip
        return self.classifier(self.dropout(self.mix(summed(maps))))


@register("segment/light-pyramid")
class LightPyramid(Segmenter):
    """Maps at strides 4, 8, 16 and 32, each through a layer of single pixels and a separable one, summed at stride 4.

    What a laptop trains in minutes: the semantic branch of panoptic feature pyramids (Kirillov et al. 2019, section 3)
    with separable convolutions in place of its stacks, and without the pyramid's own way down.
    """

    title = "Light pyramid"
    paper = "Kirillov et al. 2019, Panoptic Feature Pyramid Networks, CVPR"
    Params = LightPyramidParams

    def head(self, channels: list[int], classes: int) -> nn.Module:
        return LightPyramidHead(channels, classes, self.params.width, self.params.dropout)
