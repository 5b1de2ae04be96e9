"""Maps at several scales of any timm backbone, brought to one width: what the CNN detectors look at."""

from collections import OrderedDict
from typing import Any

from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool, LastLevelP6P7

from adapters.backbones.pyramid_maps import maps_after, stages
from studio.core.errors import UsageError


class Pyramid(nn.Module):
    """images [B, 3, S, S] -> maps {"0": [B, width, S/8, S/8], ...} at strides 8, 16, 32 and `extra` coarser ones.

    Lin et al. 2017, Feature Pyramid Networks, section 3; coarser levels by strided convolutions as in RetinaNet,
    or by subsampling where `pool`.
    """

    def __init__(self, backbone: Any, width: int, extra: int = 0, pool: bool = False) -> None:
        super().__init__()
        self.backbone = backbone
        self.indices, channels = last_stages(backbone)
        more = LastLevelMaxPool() if pool else LastLevelP6P7(width, width) if extra else None
        self.fpn = FeaturePyramidNetwork(channels, width, more)
        self.extra = 1 if pool else extra
        self.out_channels = width

    @property
    def levels(self) -> int:
        return len(self.indices) + self.extra

    def forward(self, images: Tensor) -> "OrderedDict[str, Tensor]":
        found = maps_after(self.backbone, images, self.indices)
        levels = list(self.fpn(OrderedDict((str(i), one) for i, one in enumerate(found))).values())
        return OrderedDict((str(i), level) for i, level in enumerate(levels[: self.levels]))


def last_stages(backbone: Any) -> tuple[list[int], list[int]]:
    """Indices and channels of the last stages at strides 8, 16, 32. Raises UsageError where there are none."""
    of = {stage["reduction"]: (place, stage["num_chs"]) for place, stage in enumerate(stages(backbone))}
    if not {8, 16, 32} <= of.keys():
        raise UsageError(
            f"model.backbone: a detector needs maps at 1/8, 1/16 and 1/32 of the image; {backbone.spec} has none. "
            "CNNs and hierarchical transformers of timm fit, such as pip/tf_efficientnet_lite0 or timm/resnet18."
        )
    chosen = [of[stride] for stride in (8, 16, 32)]
    return [place for place, _ in chosen], [channels for _, channels in chosen]


def coarser(size: int) -> int:
    """How many levels beyond stride 32 an input of `size` pixels has room for: those of more than one place."""
    return sum(size > stride for stride in (64, 128))
