"""Kernels between samples of two domains, and the maximum mean discrepancy (MMD) in their feature space."""

from collections.abc import Sequence

import torch
from torch import Tensor

from studio.device.precision import full_precision

OCTAVES = (0.25, 0.5, 1.0, 2.0, 4.0)  # bandwidths, in mean squared distances of the batch


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """|x_i - y_j|^2 [N, M] of rows [N, D] and [M, D]."""
    squares = x.square().sum(dim=1)[:, None] + y.square().sum(dim=1)[None, :]
    with full_precision(x):
        return (squares - 2 * x @ y.T).clamp_min(0.0)


def gaussians(x: Tensor, factors: Sequence[float] = OCTAVES, bandwidth: float | None = None) -> Tensor:
    """Mean over the factors f of exp(-|x_i - x_j|^2 / (f b)), [N, N], of the rows x [N, D] of both domains.

    b is `bandwidth`, by default the mean squared distance of two different rows, through which no gradient goes.
    """
    distances = squared_distances(x, x)
    if bandwidth is None:
        count = len(x)
        width = (distances.detach().sum() / max(1, count * (count - 1))).clamp_min(1e-12)
    else:
        width = distances.new_tensor(bandwidth)
    return torch.stack([(-distances / (factor * width)).exp() for factor in factors]).mean(dim=0)


def weighted_mmd(kernel: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Squared distance of two weighted means in a kernel's feature space: w^T K w, w = (source, -target).

    kernel [N + M, N + M]; weights source [N] and target [M] that sum to 1, or [N, C] and [M, C], which gives [C].
    Gretton et al. 2012, eq. 5, is the case of equal weights. Never negative but for rounding.
    """
    weights = torch.cat([source, -target])
    return (weights * (kernel @ weights)).sum(dim=0)


def mmd(kernel: Tensor, count: int) -> Tensor:
    """MMD^2 between the first `count` rows of a kernel [N + M, N + M] and the others, all rows counting equally."""
    other = len(kernel) - count
    return weighted_mmd(kernel, kernel.new_full((count,), 1 / count), kernel.new_full((other,), 1 / other))


def mean_distance(source: Tensor, target: Tensor) -> Tensor:
    """Squared distance of the means of features [N, D] and [M, D]: MMD^2 with the linear kernel."""
    return (source.mean(dim=0) - target.mean(dim=0)).square().sum()
