"""Histogram matching: each colour channel gets the distribution of values that other images have.

Gonzalez and Woods, Digital Image Processing, section 3.3: y = G^-1(F(x)), F and G the cumulative distributions of the
image and of the others.
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

LEVELS = 256


def histogram(images: Iterable[Tensor]) -> Tensor:
    """The share of pixels at each of 256 levels, float64 [C, 256], of images [C, H, W] in 0..1; each counts alike."""
    shares = [_shares(_levels(image)) for image in images]
    return torch.stack(shares).mean(0)


def match_histogram(image: Tensor, target: Tensor) -> Tensor:
    """The image [C, H, W] in 0..1 with the distribution `target` [C, 256]; between two levels by a straight line."""
    levels = _levels(image)
    own, wanted = _shares(levels).cumsum(1), target.double().cumsum(1)
    tables = [_table(*pair) for pair in zip(own.numpy(), wanted.numpy(), (target > 0).numpy(), strict=True)]
    return torch.stack([table[channel] for table, channel in zip(tables, levels, strict=True)]).to(image)


def _table(own: np.ndarray, wanted: np.ndarray, there: np.ndarray) -> Tensor:
    """What each of the 256 levels becomes, in 0..1."""
    return torch.from_numpy(np.interp(own, wanted[there], np.flatnonzero(there)) / (LEVELS - 1))


def _levels(image: Tensor) -> Tensor:
    return (image.cpu() * (LEVELS - 1)).round().clamp(0, LEVELS - 1).long()


def _shares(levels: Tensor) -> Tensor:
    counts = [torch.bincount(channel.flatten(), minlength=LEVELS) for channel in levels]
    return torch.stack(counts).double() / levels[0].numel()
