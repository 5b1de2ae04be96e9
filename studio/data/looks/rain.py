"""Rain: bright streaks, all in one direction, over an image whose far parts are veiled.

A streak hides what is behind it by its share of the exposure (Garg and Nayar 2007, Vision and Rain, equation 14):
I = (1 - a) B + a S, with drops of brightness S smeared along their fall.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from studio.data.looks.fog import fog

BRIGHTNESS = 0.9


def rain(image: Tensor, drops: Tensor, angle: float = 0.2, length: int = 15, density: float = 0.5) -> Tensor:
    """The image [3, H, W] in 0..1 in rain.

    drops     where a streak is, in 0..1, [H, W]: see `drawn_drops`
    angle     radians from upright
    length    of a streak, in pixels
    density   of the veil, as that of fog
    """
    cover = streaks(drops, angle, length).to(image)
    return fog(image, density) * (1 - cover) + BRIGHTNESS * cover


def streaks(drops: Tensor, angle: float, length: int) -> Tensor:
    """Drops [H, W] smeared along a line, in 0..1: [H, W]."""
    kernel = line(angle, length).to(drops)
    return conv2d(drops[None, None], kernel[None, None], padding="same")[0, 0].clamp(0, 1)


def line(angle: float, length: int) -> Tensor:
    """A line of so many pixels through the middle of a kernel [K, K] with odd K, upright at angle 0; values 0 or 1."""
    side = length | 1
    kernel, middle = torch.zeros(side, side), side // 2
    for step in range(-middle, middle + 1):
        kernel[middle + round(step * math.cos(angle)), middle + round(step * math.sin(angle))] = 1
    return kernel


def drawn_drops(height: int, width: int, share: float, draw: torch.Generator) -> Tensor:
    """Drops at random: `share` of the pixels begin a streak, more or less clear."""
    there = torch.rand(height, width, generator=draw) < share
    return there * (0.2 + 0.6 * torch.rand(height, width, generator=draw))
