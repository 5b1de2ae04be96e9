"""Sketch: dark lines on white paper where an image has edges, without its colours.

Winnemoeller, Kyprianidis, Olsen 2012, XDoG: An eXtended Difference-of-Gaussians Compendium: a difference of two blurs,
p (G_sigma - G_(k sigma)) with k = 1.6, through the soft threshold of equation 5: paper where it is above -e, else
1 + tanh(phi (it + e)). Of equation 7 the tone of areas is left out, so that dark ones stay paper.
"""

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

GREY = (0.299, 0.587, 0.114)
RATIO = 1.6  # between the two blurs; there their difference is nearest to the Laplacian of a Gaussian
SOFTNESS = 10.0  # phi: how suddenly paper becomes line
BARE = 0.3  # e: how much darker than around it a place is before a line is drawn


def sketch(image: Tensor, sigma: float = 1.0, sharpness: float = 20.0) -> Tensor:
    """The image [3, H, W] in 0..1 as lines: 1 is paper, 0 the darkest line, all channels alike.

    sigma      width of the lines in pixels
    sharpness  p: the higher, the fainter the edges that are drawn
    """
    grey = torch.einsum("c,chw->hw", torch.tensor(GREY).to(image), image).unsqueeze(0)
    edges = sharpness * (blurred(grey, sigma) - blurred(grey, RATIO * sigma)) + BARE
    return (1 + torch.tanh(SOFTNESS * edges.clamp_max(0))).expand_as(image)


def blurred(image: Tensor, sigma: float) -> Tensor:
    """The image [C, H, W] convolved with a Gaussian, cut at three deviations."""
    side = 1 + 2 * max(1, round(3 * sigma))
    return functional.gaussian_blur(image, [side, side], [sigma, sigma])
