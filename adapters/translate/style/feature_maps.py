"""The networks through which style is seen, by name: VGGs, and the maps of any other backbone.

A style loss needs maps in which neighbouring pixels still matter one by one. VGG's are such; an EfficientNet's are not:
its strided depthwise convolutions let noise through unseen, and pixels that are optimised through it turn to noise.
"""

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from adapters.backbones.pyramid_maps import PyramidMaps
from adapters.translate.style.hed_weights import SPEC, load_hed
from adapters.translate.style.vgg import Vgg
from studio.core import registry
from studio.core.errors import UsageError
from studio.core.home import Home

STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")  # Gatys et al. 2016, section 3
CONTENT = "relu4_2"
STRIDES = (2, 4, 8, 16)  # of other backbones' maps
_VGG = re.compile(r"timm/vgg(16|19)(\.[a-z0-9_]+)?(\?random)?$")
_UNFIT = re.compile(r"efficientnet|mobilenet|lite\d", re.IGNORECASE)


class BackboneMaps(nn.Module):
    """Any backbone as a network that style is seen through: its maps are named stride2 to stride16."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.maps = PyramidMaps(backbone, STRIDES).requires_grad_(False)
        mean, deviation = (
            torch.tensor(values).view(1, 3, 1, 1) for values in (backbone.preprocess.mean, backbone.preprocess.std)
        )
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)

    def forward(self, images: Tensor, wanted: Sequence[str]) -> dict[str, Tensor]:
        maps = self.maps((images - self.mean) / self.deviation)
        named = dict(zip((f"stride{stride}" for stride in STRIDES), maps, strict=True))
        return {name: named[name] for name in wanted}


class StyleFeatures(nn.Module):
    """A frozen network and which of its maps say what style and content are.

    Images [B, 3, H, W] in 0..1.
    """

    def __init__(self, network: nn.Module, style: Sequence[str], content: str) -> None:
        super().__init__()
        self.network, self.style, self.content = network.eval(), tuple(style), content

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """The maps of style, finest first, and that of content."""
        maps = self.network(images, sorted({*self.style, self.content}))
        return [maps[name] for name in self.style], maps[self.content]


def style_features(spec: str, home: Home | None = None) -> StyleFeatures:
    """The network that `spec` names: pip/hed_vgg16, timm/vgg16, timm/vgg19 or any backbone.

    Raises UsageError for one that is known to fail, StudioError where its weights are not at hand.
    """
    refuse_unfit(spec)
    if spec == SPEC or _VGG.match(spec):
        return StyleFeatures(vgg(spec, "relu5_1", home), STYLE, CONTENT)
    return StyleFeatures(BackboneMaps(registry.backbone(spec, home=home)), [f"stride{s}" for s in STRIDES], "stride8")


def vgg(spec: str, last: str, home: Home | None = None) -> Vgg:
    """A VGG up to its layer `last`. Raises UsageError for what is none."""
    if spec == SPEC:
        return load_hed(last)
    match = _VGG.match(spec)
    if match is None:
        raise UsageError(
            f"params.features: {spec} is no VGG; expected {SPEC}, timm/vgg16.tv_in1k or timm/vgg19.tv_in1k."
        )
    network = Vgg(int(match[1]), last)
    layers = [part for part in registry.backbone(spec, home=home).module.features if isinstance(part, nn.Conv2d)]
    for own, other in zip(network.layers.values(), layers, strict=False):
        own.load_state_dict(other.state_dict())
    return network


def refuse_unfit(spec: str) -> None:
    """Raises UsageError for a backbone whose maps are no loss for pixels."""
    if _UNFIT.search(spec):
        raise UsageError(
            f"params.features: {spec} is no loss for pixels: optimised through it, images turn to noise (its strided "
            f"depthwise convolutions don't see it). Expected {SPEC}, timm/vgg16.tv_in1k or timm/vgg19.tv_in1k; as a "
            "distance (eval.features) it does serve."
        )
