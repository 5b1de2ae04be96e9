"""FCN: scores at three strides, the coarse ones enlarged and added to the finer."""

from typing import ClassVar

from torch import Tensor, nn

from adapters.backbones.pyramid_maps import resized
from adapters.segment.base import Segmenter, block
from studio.core.registry import register


class FCNHead(nn.Module):
    """Maps at strides 8, 16, 32 -> logits at stride 8."""

    def __init__(self, channels: list[int], classes: int, dropout: float) -> None:
        super().__init__()
        width = max(64, channels[-1] // 4)
        self.last = nn.Sequential(block(channels[-1], width), nn.Dropout(dropout))
        self.classifiers = nn.ModuleList(nn.Conv2d(one, classes, 1) for one in (*channels[:-1], width))

    def forward(self, maps: list[Tensor]) -> Tensor:
        scores = self.classifiers[-1](self.last(maps[-1]))
        for classify, features in zip(reversed(list(self.classifiers[:-1])), reversed(maps[:-1]), strict=True):
            scores = classify(features) + resized(scores, features.shape[-2:])
        return scores


@register("segment/fcn")
class FCN(Segmenter):
    """Class scores at strides 32, 16 and 8, each enlarged to the next and added (FCN-8s, section 4.2).

    On a backbone without fully connected layers; one 3x3 convolution stands for them, enlarging is bilinear.
    """

    title = "FCN-8s"
    paper = "Long, Shelhamer, Darrell 2015, Fully Convolutional Networks for Semantic Segmentation, CVPR"
    strides: ClassVar[tuple[int, ...]] = (8, 16, 32)

    def head(self, channels: list[int], classes: int) -> nn.Module:
        return FCNHead(channels, classes, self.params.dropout)
