"""The maps that a backbone makes on its way, at the strides that a network on top asks for."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import interpolate

COARSEST = 32  # stride of the last stage of nearly every backbone


class PyramidMaps(nn.Module):
    """images [B, 3, H, W] -> a map [B, C_i, H / s_i, W / s_i] for each of `strides`, finest first.

    A backbone of timm gives those of its stages. With an `output_stride` several have the stride of its last map: each
    stands for the stride that it would have without, or where one map is asked for, the deepest for all. A plain
    transformer has one stride: maps of evenly spaced blocks are brought to the others by interpolation (Li et al. 2022,
    Exploring Plain Vision Transformer Backbones, section 3, without its convolutions). What has no maps on its way
    gives its last one for all.
    """

    def __init__(self, backbone: Any, strides: Sequence[int]) -> None:
        super().__init__()
        self.backbone, self.strides = backbone, tuple(strides)
        info = stages(backbone)
        self.indices: list[int] = []
        self.channels = [backbone.dim] * len(self.strides)
        self.resampled = True
        if not info:
            return
        if len({stage["reduction"] for stage in info}) > 1:
            of = by_stride(info, apart=len(self.strides) > 1)
            coarsest = max(of)
            chosen = [of[stride] if stride in of else of[coarsest] for stride in self.strides]
            self.resampled = any(stride not in of and stride < coarsest for stride in self.strides)
        else:
            chosen = [_spaced(info, place, len(self.strides)) for place in range(len(self.strides))]
        self.indices = [place for place, _ in chosen]
        self.channels = [channels for _, channels in chosen]

    @property
    def any_size(self) -> bool:
        """It takes images of every size, not of its own alone."""
        return self.backbone.kind == "cnn"

    def forward(self, images: Tensor) -> list[Tensor]:
        if self.indices:
            wanted = sorted(set(self.indices))
            images = self.backbone._channels(images)
            given = dict(zip(wanted, maps_after(self.backbone, images, wanted), strict=True))
            maps = [given[place] for place in self.indices]
        else:
            maps = [self.backbone.feature_map(images)] * len(self.strides)
        return [self._at(one, images, stride) for one, stride in zip(maps, self.strides, strict=True)]

    def _at(self, features: Tensor, images: Tensor, stride: int) -> Tensor:
        if not self.resampled:
            return features
        size = [max(1, side // stride) for side in images.shape[-2:]]
        return features if list(features.shape[-2:]) == size else resized(features, size)


def stages(backbone: Any) -> list[dict[str, Any]]:
    """What timm says of each stage (or block) whose map a backbone gives: `reduction`, its stride, and `num_chs`; empty
    where it gives none."""
    module = getattr(backbone, "module", None)
    info = getattr(module, "feature_info", None) if hasattr(module, "forward_intermediates") else None
    return [dict(stage) for stage in info or []]


def by_stride(info: list[dict[str, Any]], apart: bool) -> dict[int, tuple[int, int]]:
    """The deepest stage at each stride: its place and channels.

    With `apart`, stages that an `output_stride` holds at the stride of the one before stand for those of without it.
    """
    of: dict[int, tuple[int, int]] = {}
    last = max(stage["reduction"] for stage in info)
    for place, stage in enumerate(info):
        stride = stage["reduction"]
        while apart and stride in of and last <= stride < COARSEST:
            stride *= 2
        of[stride] = (place, stage["num_chs"])
    return of


def maps_after(backbone: Any, images: Tensor, indices: list[int]) -> list[Tensor]:
    """Feature maps [B, C_i, h_i, w_i] of a timm backbone after the stages `indices`."""
    return backbone.module.forward_intermediates(images, indices=indices, intermediates_only=True, stop_early=True)


def resized(features: Tensor, size: Sequence[int]) -> Tensor:
    """Features [B, C, h, w] at `size` (height, width), bilinear."""
    return interpolate(features, size=tuple(size), mode="bilinear", align_corners=False)


def _spaced(info: list[dict[str, Any]], place: int, count: int) -> tuple[int, int]:
    """The last block of the `place`-th of `count` equal parts of a transformer, and its channels."""
    index = round((place + 1) * len(info) / count) - 1
    return index, info[index]["num_chs"]
