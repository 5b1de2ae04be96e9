"""Reinhard's colour transfer: means and deviations along the axes of the colour space l-alpha-beta.

Reinhard, Ashikhmin, Gooch, Shirley 2001, Color Transfer between Images: equations 4 (RGB to LMS), 5 (the logarithm),
6 (to l-alpha-beta) and 10-11 (the transfer).
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from studio.data.looks.mean_variance import match_mean_variance, statistics

LMS = torch.tensor([[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]], dtype=torch.float64)
AXES = torch.tensor([3.0, 6.0, 2.0], dtype=torch.float64).rsqrt().diag() @ torch.tensor(
    [[1.0, 1.0, 1.0], [1.0, 1.0, -2.0], [1.0, -1.0, 0.0]], dtype=torch.float64
)
DARKEST = 1 / 255  # black has no logarithm


def to_axes(image: Tensor) -> Tensor:
    """RGB [3, H, W] in 0..1 as l, alpha, beta, float64."""
    return _mixed(AXES, _mixed(LMS, image.double()).clamp_min(DARKEST).log10())


def from_axes(axes: Tensor) -> Tensor:
    """The inverse of `to_axes`."""
    return _mixed(torch.linalg.inv(LMS), 10 ** _mixed(torch.linalg.inv(AXES), axes))


def axis_statistics(images: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and deviation [3] of images [3, H, W] along l, alpha and beta."""
    return statistics(map(to_axes, images))


def reinhard(image: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """The image [3, H, W] with the mean and deviation [3] that others have along l, alpha and beta; not clipped."""
    return from_axes(match_mean_variance(to_axes(image), mean, deviation)).to(image)


def _mixed(matrix: Tensor, channels: Tensor) -> Tensor:
    return torch.einsum("ij,jhw->ihw", matrix.to(channels.device), channels)
