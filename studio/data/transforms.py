"""From a picture to a backbone's input, and augmentation on whole batches."""

import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from studio.data.preprocess import Preprocess

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


def to_input(image: Image.Image, preprocess: Preprocess, margin: float = 1.0) -> Tensor:
    """An RGB image as uint8 [3, S, S], S = image_size * margin: resized and cropped, not yet normalised."""
    side = round(preprocess.image_size * margin)
    resample = _FILTERS[preprocess.interpolation]
    if preprocess.squash:
        image = image.resize((side, side), resample)
    else:
        image = _crop_centre(_resize_short(image, math.floor(side / preprocess.crop_pct), resample), side)
    return torch.from_numpy(np.array(image, dtype=np.uint8)).permute(2, 0, 1).contiguous()


def normalize(batch: Tensor, preprocess: Preprocess) -> Tensor:
    """A batch [B, 3, H, W], uint8 or float in 0..255, as float32 with the backbone's mean and std, channels last."""
    mean = torch.tensor(preprocess.mean, device=batch.device).view(1, 3, 1, 1) * 255.0
    std = torch.tensor(preprocess.std, device=batch.device).view(1, 3, 1, 1) * 255.0
    return ((batch.float() - mean) / std).contiguous(memory_format=torch.channels_last)


def augment(batch: Tensor, preprocess: Preprocess, draw: torch.Generator, smallest: float = 0.35) -> Tensor:
    """A random crop (area `smallest`..1, aspect 3/4..4/3) and flip of each image, then normalised.

    batch uint8 [B, 3, S, S] -> float32 [B, 3, image_size, image_size]. Everything random comes from `draw`,
    so the same state gives the same batch. The resize is bilinear on a sampling grid, with area averaging
    where a crop is shrunk by more than two.
    """
    count = len(batch)
    area = torch.empty(count).uniform_(smallest, 1.0, generator=draw)
    aspect = torch.empty(count).uniform_(math.log(3 / 4), math.log(4 / 3), generator=draw).exp()
    width = (area * aspect).sqrt().clamp(max=1.0)
    height = (area / aspect).sqrt().clamp(max=1.0)
    left = torch.rand(count, generator=draw) * (1 - width)
    top = torch.rand(count, generator=draw) * (1 - height)
    flip = torch.where(torch.rand(count, generator=draw) < 0.5, -1.0, 1.0)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 0, 2] = width * flip, 2 * left + width - 1
    theta[:, 1, 1], theta[:, 1, 2] = height, 2 * top + height - 1
    side = preprocess.image_size
    grid = functional.affine_grid(theta, [count, 3, side, side], align_corners=False)
    images = functional.grid_sample(
        batch.float(), grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    return normalize(images, preprocess)


def _resize_short(image: Image.Image, short: int, resample: Image.Resampling) -> Image.Image:
    width, height = image.size
    if min(width, height) == short:
        return image
    if width <= height:
        size = short, max(short, int(short * height / width))
    else:
        size = max(short, int(short * width / height)), short
    return image.resize(size, resample)


def _crop_centre(image: Image.Image, side: int) -> Image.Image:
    left, top = round((image.width - side) / 2), round((image.height - side) / 2)
    return image.crop((left, top, left + side, top + side))
