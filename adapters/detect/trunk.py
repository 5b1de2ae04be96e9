"""Our backbones in the place where a detector of transformers has its own."""

from typing import Any

from torch import Tensor, nn

from adapters.backbones.pyramid_maps import maps_after
from studio.core.errors import UsageError


class Trunk(nn.Module):
    """images [B, 3, S, S] -> an output of transformers with `feature_maps`, one for each of `strides`.

    A plain transformer has one map, which is taken for any single stride.
    """

    def __init__(self, backbone: Any, strides: tuple[int, ...]) -> None:
        super().__init__()
        self.backbone = backbone
        self.indices, self.channels = at_strides(backbone, strides)

    def forward(self, images: Tensor, **_: Any) -> Any:
        from transformers.modeling_outputs import BackboneOutput

        if self.indices:
            return BackboneOutput(feature_maps=tuple(maps_after(self.backbone, images, self.indices)))
        return BackboneOutput(feature_maps=(self.backbone.feature_map(images),))


def at_strides(backbone: Any, strides: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """Indices of the stages of a timm backbone that end at `strides`, and their channels; no index for a plain ViT.

    Raises UsageError where the backbone has no such maps.
    """
    info = [dict(one) for one in getattr(getattr(backbone, "module", None), "feature_info", None) or []]
    of = {one["reduction"]: (place, one["num_chs"]) for place, one in enumerate(info)}
    if backbone.kind == "vit" and len(strides) == 1 and strides[0] not in of:
        return [], [backbone.dim]
    if not hasattr(backbone.module, "forward_intermediates") or not set(strides) <= of.keys():
        wanted = " and ".join(f"1/{stride}" for stride in strides)
        raise UsageError(
            f"model.backbone: this detector needs maps at {wanted} of the image; {backbone.spec} has none. "
            "CNNs and hierarchical transformers of timm fit, such as pip/tf_efficientnet_lite0 or timm/resnet18."
        )
    return [of[stride][0] for stride in strides], [of[stride][1] for stride in strides]
