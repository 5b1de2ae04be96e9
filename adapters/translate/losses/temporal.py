"""The flow-free temporal loss: what is made of a moved image is to be the moved version of what is made of it.

|| warp(G(x), F) - G(warp(x, F)) || with a smooth random motion F, as CPTrans has it (Infrared-to-visible video
translation with content-preserving transformers): no flow of the film is needed, single images teach it.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

CELLS = 4  # points a side at which a motion is drawn; between them it is smooth
REACH = 0.06  # how far a point moves at most, as a share of the side


def drawn_shift(images: Tensor, seed: int) -> Tensor:
    """A smooth random motion [B, 2, H, W] for images [B, 3, H, W], in shares of a side from -1 to 1."""
    draw = torch.Generator().manual_seed(seed)
    points = (2 * torch.rand(len(images), 2, CELLS, CELLS, generator=draw) - 1) * 2 * REACH
    shift = interpolate(points, size=images.shape[-2:], mode="bicubic", align_corners=True)
    return shift.to(images)


def warp(images: Tensor, shift: Tensor) -> Tensor:
    """Images [B, C, H, W] whose pixel at p is what was at p + shift [B, 2, H, W] (x, y in halves of a side)."""
    upright = torch.eye(2, 3).to(images).expand(len(images), 2, 3)
    grid = affine_grid(upright, list(images.shape), align_corners=True) + shift.permute(0, 2, 3, 1)
    return grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=True)


def temporal_loss(generate: Callable[[Tensor], Tensor], images: Tensor, made: Tensor, shift: Tensor) -> Tensor:
    """The mean absolute difference between the warp of the output and the output of the warp."""
    return (warp(made, shift) - generate(warp(images, shift))).abs().mean()
