"""A small U-Net that predicts the next frame of a film from two."""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

DEPTH = 3


class NextFrame(nn.Module):
    """Two frames [B, 3, H, W] in -1..1 -> the one that follows, for every size.

    It says what changes: the last frame plus a difference, so that it begins as "the same again". Bansal et al. 2018
    take a U-Net of two frames.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(DEPTH)]
        self.down = nn.ModuleList(
            _block(inside, outside) for inside, outside in zip((6, *widths), widths, strict=False)
        )
        self.up = nn.ModuleList(
            _block(widths[level] + widths[level - 1], widths[level - 1]) for level in range(DEPTH - 1, 0, -1)
        )
        self.last = nn.Conv2d(width, 3, 3, padding=1, padding_mode="reflect")
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, before: Tensor, now: Tensor) -> Tensor:
        maps, features = [], torch.cat([before, now], dim=1)
        for place, block in enumerate(self.down):
            features = block(features if place == 0 else nn.functional.avg_pool2d(features, 2, ceil_mode=True))
            maps.append(features)
        for block, beside in zip(self.up, reversed(maps[:-1]), strict=True):
            features = interpolate(features, size=beside.shape[-2:], mode="nearest")
            features = block(torch.cat([features, beside], dim=1))
        return (now + self.last(features)).clamp(-1, 1)


def _block(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, padding=1, padding_mode="reflect"), nn.InstanceNorm2d(outside), nn.LeakyReLU(0.2)
    )
