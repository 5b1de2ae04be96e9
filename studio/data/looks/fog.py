"""Fog: what is far away fades into the colour of the air.

Koschmieder's law as Sakaridis, Dai, Van Gool 2018 have it (Semantic Foggy Scene Understanding with Synthetic Data,
equations 1 and 2): I = R t + L (1 - t) with the transmittance t = exp(-beta d).
"""

import torch
from torch import Tensor

AIR = (0.85, 0.87, 0.9)  # the colour of the light in fog


def fog(image: Tensor, density: float = 2.0, depth: Tensor | None = None, air: tuple[float, ...] = AIR) -> Tensor:
    """The image [3, H, W] in 0..1 in fog; `density` is the beta of the paper for depths of 0..1.

    `depth` [H, W]; where nothing is known of it, rows above are taken to be farther away, as in scenes on the ground.
    """
    depth = ground_depth(image) if depth is None else depth
    transmittance = torch.exp(-density * depth.to(image))
    light = torch.tensor(air).to(image).view(3, 1, 1)
    return image * transmittance + light * (1 - transmittance)


def ground_depth(image: Tensor) -> Tensor:
    """1 in the upper row, 0 in the lowest: [H, W]."""
    height, width = image.shape[-2:]
    return torch.linspace(1, 0, height).to(image).view(height, 1).expand(height, width)
