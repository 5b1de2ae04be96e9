"""A linear head: one layer that names the class of each place of a backbone's last map."""

from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from adapters.segment.base import Segmenter, SegmentParams
from studio.core.registry import register


class LinearParams(SegmentParams):
    backbone_lr: float = Field(
        0.0, ge=0, le=10, description="learning rate of the backbone, as a multiple of train.lr; 0 leaves it as it is"
    )


class LinearHead(nn.Module):
    def __init__(self, channels: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.normalize = nn.BatchNorm2d(channels, affine=False)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Conv2d(channels, classes, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        return self.classifier(self.dropout(self.normalize(maps[0])))


@register("segment/linear")
class Linear(Segmenter):
    """A linear layer on the last map of a frozen backbone, whose channels are brought to one scale first.

    The linear evaluation of Oquab et al. 2023, DINOv2, section 7.4, here on a single map. What it reaches says how much
    of the classes the backbone knows already.
    """

    title = "Linear head"
    paper = "Oquab et al. 2023, DINOv2: Learning Robust Visual Features without Supervision, TMLR 2024"
    Params = LinearParams
    strides: ClassVar[tuple[int, ...]] = (16,)

    def head(self, channels: list[int], classes: int) -> nn.Module:
        return LinearHead(channels[0], classes, self.params.dropout)
