"""FPN: a pyramid of equal width, each level enlarged in steps, summed."""

from collections import OrderedDict

from pydantic import Field
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork

from adapters.backbones.pyramid_maps import resized
from adapters.segment.base import Segmenter, SegmentParams, block
from studio.core.registry import register


class FPNParams(SegmentParams):
    width: int = Field(
        128, ge=16, le=1024, description="channels of the pyramid and of the branch on it; 256, 128 there"
    )


class FPNHead(nn.Module):
    """Maps at strides 4 to 32 -> logits at stride 4. Figure 3 of the paper."""

    def __init__(self, channels: list[int], classes: int, width: int, dropout: float) -> None:
        super().__init__()
        self.pyramid = FeaturePyramidNetwork(channels, width)
        self.branches = nn.ModuleList(
            nn.ModuleList(block(width, width) for _ in range(max(1, level))) for level in range(len(channels))
        )
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(width, classes, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        levels = list(self.pyramid(OrderedDict((str(place), one) for place, one in enumerate(maps))).values())
        total = 0
        for level, (features, layers) in enumerate(zip(levels, self.branches, strict=True)):
            for step, layer in enumerate(layers, start=1):
                features = layer(features)
                if level:
                    features = resized(features, levels[level - step].shape[-2:])
            total = total + features
        return self.classifier(self.dropout(total))


@register("segment/fpn")
class FPN(Segmenter):
    """A feature pyramid whose levels are enlarged twofold as often as needed, a 3x3 layer before each, and summed.

    The semantic branch of the paper, section 3.1; torchvision's pyramid below it.
    """

    title = "Semantic FPN"
    paper = "Kirillov et al. 2019, Panoptic Feature Pyramid Networks, CVPR"
    Params = FPNParams

    def head(self, channels: list[int], classes: int) -> nn.Module:
        return FPNHead(channels, classes, self.params.width, self.params.dropout)
