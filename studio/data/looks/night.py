"""Night: dark, bluish and grainy, as people and cameras see with little light.

The blue shift of Thompson, Shirley, Ferwerda 2002 (A Spatial Post-Processing Algorithm for Images of Night Scenes,
section 2): scotopic luminance V = Y (1.33 (1 + (Y + Z) / X) - 1.68) tinted (1.05, 0.97, 1.27).
"""

import torch
from torch import Tensor

XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))  # of linear sRGB
TINT = (1.05, 0.97, 1.27)
GAMMA = 2.2
LEAST = 1e-4


def night(image: Tensor, exposure: float = 0.08, share: float = 0.7, grain: Tensor | None = None) -> Tensor:
    """The image [3, H, W] in 0..1 at night; not clipped.

    exposure   linear light that is left
    share      how much of it is seen by rods, bluish and without colour, in 0..1
    grain      noise [3, H, W] added in the end
    """
    light = image.clamp(0, 1) ** GAMMA
    rods = scotopic(light) * torch.tensor(TINT).to(light).view(3, 1, 1)
    seen = (exposure * ((1 - share) * light + share * rods)).clamp_min(0) ** (1 / GAMMA)
    return seen if grain is None else seen + grain.to(seen)


def scotopic(light: Tensor) -> Tensor:
    """What rods see of linear RGB [3, H, W]: [1, H, W]."""
    x, y, z = torch.einsum("ij,jhw->ihw", torch.tensor(XYZ).to(light), light).clamp_min(LEAST)
    return (y * (1.33 * (1 + (y + z) / x) - 1.68)).clamp_min(0).unsqueeze(0)
