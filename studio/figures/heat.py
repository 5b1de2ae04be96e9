"""Heat laid over images."""

import numpy as np
from matplotlib import colormaps
from PIL import Image


def overlay(image: Image.Image, heat: np.ndarray, strength: float = 0.5) -> Image.Image:
    """`image` with heat [h, w] in 0..1, stretched over it."""
    grid = Image.fromarray((np.clip(heat, 0, 1) * 255).astype(np.uint8)).resize(image.size, Image.Resampling.BICUBIC)
    colours = (colormaps["inferno"](np.asarray(grid) / 255.0)[..., :3] * 255).astype(np.uint8)
    return Image.blend(image.convert("RGB"), Image.fromarray(colours), strength)
