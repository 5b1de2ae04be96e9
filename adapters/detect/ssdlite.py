"""SSDLite: default boxes on maps of six scales, with separable convolutions, made for small machines."""

import math
from collections import OrderedDict
from typing import Any, ClassVar

from torch import Tensor, nn

from adapters.backbones.pyramid_maps import maps_after
from adapters.detect.base import LEAST, DetectParams, TorchvisionDetector
from adapters.detect.classes import ClassRows
from adapters.detect.pyramid import last_stages
from studio.core.registry import register

GROUPS = 16


@register("detect/ssdlite")
class Ssdlite(TorchvisionDetector):
    """One-stage with default boxes on the maps of the backbone and three coarser ones; depthwise separable heads.

    Liu et al. 2016, SSD, section 2; the light head of Sandler et al. 2018, section 6.2; by torchvision. Default boxes
    are from a tenth to nine tenths of the input wide; the heads have group in place of batch normalisation.
    """

    title = "SSDLite"
    paper = "Sandler et al. 2018, MobileNetV2: Inverted Residuals and Linear Bottlenecks"
    Params = DetectParams
    first_label = 1
    class_rows: ClassVar = {r"classification_head\.module_list\.\d+\.1\.": ClassRows(before=1)}
    box_layers = (r"regression_head\.module_list\.\d+\.1\.",)

    def build(self, backbone: Any, classes: int, size: int) -> nn.Module:
        from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
        from torchvision.models.detection.ssd import SSD
        from torchvision.models.detection.ssdlite import SSDLiteHead

        trunk = _Scales(backbone)
        boxes = DefaultBoxGenerator([[2, 3]] * len(trunk.channels), min_ratio=0.1, max_ratio=0.9)
        head = SSDLiteHead(trunk.channels, boxes.num_anchors_per_location(), classes + 1, grouped)
        return SSD(
            trunk, boxes, (size, size), classes + 1, head=head, score_thresh=LEAST, nms_thresh=self.params.nms,
            detections_per_img=self.params.most, image_mean=[0.0] * 3, image_std=[1.0] * 3, _skip_resize=True,
        )  # fmt: skip


def grouped(channels: int) -> nn.GroupNorm:
    """Group normalisation, which small batches and maps of a single place don't spoil."""
    return nn.GroupNorm(math.gcd(channels, GROUPS), channels)


class _Scales(nn.Module):
    """Maps at strides 8 to 256: three of the backbone, three by strided separable convolutions."""

    def __init__(self, backbone: Any, widths: tuple[int, ...] = (256, 128, 128)) -> None:
        super().__init__()
        self.backbone = backbone
        self.indices, self.channels = last_stages(backbone)
        self.more = nn.ModuleList()
        for width in widths:
            self.more.append(_coarser(self.channels[-1], width))
            self.channels = [*self.channels, width]

    def forward(self, images: Tensor) -> "OrderedDict[str, Tensor]":
        found = maps_after(self.backbone, images, self.indices)
        for layer in self.more:
            found.append(layer(found[-1]))
        return OrderedDict((str(place), one) for place, one in enumerate(found))


def _coarser(inside: int, outside: int) -> nn.Sequential:
    half = outside // 2
    return nn.Sequential(
        nn.Conv2d(inside, half, 1, bias=False), grouped(half), nn.ReLU6(),
        nn.Conv2d(half, half, 3, stride=2, padding=1, groups=half, bias=False), grouped(half), nn.ReLU6(),
        nn.Conv2d(half, outside, 1, bias=False), grouped(outside), nn.ReLU6(),
    )  # fmt: skip
