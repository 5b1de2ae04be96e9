"""Losses of style and content on feature maps [B, C, h, w].

Gatys, Ecker, Bethge 2016, Image Style Transfer Using Convolutional Neural Networks: the Gram matrix of equation 3, the
losses of equations 1, 4 and 5. A layer's loss is divided by the size of what it is compared with: that is the paper's
weight of the layer, chosen so that all layers count alike whatever network they come from.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

LEAST = 1e-8


def gram(features: Tensor) -> Tensor:
    """G_ij = sum over places of F_i F_j (eq. 3), divided by C h w: [B, C, C]."""
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / (flat.shape[1] * flat.shape[2])


def style_loss(grams: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """The mean over layers of |G - A|^2 / |A|^2 (eq. 4 and 5), for each image: [B]. Each of `wanted` is [1 or B, C, C].

    0 where all Gram matrices are those that are wanted; an image of one colour everywhere gives about 1.
    """
    return torch.stack([_relative(own, other) for own, other in zip(grams, wanted, strict=True)]).mean(0)


def content_loss(features: Tensor, wanted: Tensor) -> Tensor:
    """|F - P|^2 / |P|^2 (eq. 1) for each image: [B]."""
    return _relative(features, wanted)


def statistics_loss(features: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Means and deviations of channels, by the mean over channels of their squared differences, summed over layers.

    Huang and Belongie 2017, Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization, eq. 13: [B].
    """
    losses = []
    for own, other in zip(features, wanted, strict=True):
        pairs = zip(channel_statistics(own), channel_statistics(other), strict=True)
        losses.append(torch.stack([(a - b).square().mean((1, 2, 3)) for a, b in pairs]).sum(0))
    return torch.stack(losses).sum(0)


def adain(content: Tensor, style: Tensor) -> Tensor:
    """Features of the content with the means and deviations of the style's channels. Huang and Belongie 2017, eq. 8."""
    return renormalized(content, *channel_statistics(style))


def renormalized(content: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Features [B, C, h, w] with these means and deviations [1 or B, C, 1, 1] of their channels."""
    own_mean, own_deviation = channel_statistics(content)
    return (content - own_mean) / own_deviation * deviation + mean


def channel_statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over places, [B, C, 1, 1] each."""
    mean = features.mean((2, 3), keepdim=True)
    variance = (features - mean).square().mean((2, 3), keepdim=True)
    return mean, (variance + 1e-5).sqrt()


def total_variation(images: Tensor) -> Tensor:
    """The mean difference of neighbours, down and right, for each image: [B]. Johnson et al. 2016, section 3.2."""
    down = (images[..., 1:, :] - images[..., :-1, :]).abs().mean((1, 2, 3))
    right = (images[..., 1:] - images[..., :-1]).abs().mean((1, 2, 3))
    return down + right


def _relative(own: Tensor, wanted: Tensor) -> Tensor:
    size = wanted.square().flatten(1).sum(1).clamp_min(LEAST)
    return (own - wanted).square().flatten(1).sum(1) / size
