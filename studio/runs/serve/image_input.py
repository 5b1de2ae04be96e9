"""From an image to a network's input with Pillow and NumPy: what `studio.data.transforms` does, without torch."""

import math

import numpy as np
from PIL import Image

from studio.data.preprocess import Preprocess

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


def input_of(image: Image.Image, preprocess: Preprocess) -> np.ndarray:
    """An RGB image as normalised float32 [3, H, W]; within 2 of 255 of what training saw."""
    side, filter_ = preprocess.image_size, _FILTERS[preprocess.interpolation]
    if preprocess.squash:
        image = image.resize((preprocess.width, side), filter_)
    else:
        width, height = _with_short_side(image.size, max(side, math.floor(side / preprocess.crop_pct)))
        left, top = round((width - side) / 2), round((height - side) / 2)
        image = image.resize((width, height), filter_).crop((left, top, left + side, top + side))
    pixels = np.asarray(image, np.float32).transpose(2, 0, 1)
    mean, std = (np.array(values, np.float32)[:, None, None] * 255 for values in (preprocess.mean, preprocess.std))
    return np.ascontiguousarray((pixels - mean) / std)


def _with_short_side(size: tuple[int, int], short: int) -> tuple[int, int]:
    """Width and height scaled so that the smaller is `short`."""
    width, height = size
    if width <= height:
        return short, max(short, int(short * height / width))
    return max(short, int(short * width / height)), short
