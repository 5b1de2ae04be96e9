"""Mean and variance of each colour channel, taken from other images."""

from collections.abc import Iterable

import torch
from torch import Tensor

LEAST = 1e-6  # a deviation below this is one colour, which has no contrast to stretch


def statistics(images: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [C] of all pixels of images [C, H, W], which may differ in size."""
    count, total, squares = 0, torch.zeros(()), torch.zeros(())
    for image in images:
        pixels = image.double().flatten(1)
        count += pixels.shape[1]
        total, squares = total + pixels.sum(1), squares + pixels.square().sum(1)
    mean = total / count
    return mean, (squares / count - mean.square()).clamp_min(0).sqrt()


def match_mean_variance(image: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """(x - mean of x) / deviation of x * deviation + mean, a channel at a time; image [C, H, W] is not clipped."""
    own_mean, own_deviation = statistics([image])
    scale = torch.where(own_deviation > LEAST, deviation / own_deviation.clamp_min(LEAST), torch.zeros_like(deviation))
    centred = image - own_mean.to(image).view(-1, 1, 1)
    return centred * scale.to(image).view(-1, 1, 1) + mean.to(image).view(-1, 1, 1)
