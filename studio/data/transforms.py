"""From an image to a backbone's input, and random crops of whole batches."""

import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode, functional

from studio.data.preprocess import Preprocess

#: part of every feature cache's key: to be raised when `to_input` or `normalize` give other numbers than before
VERSION = 1
_MODES = {
    "nearest": InterpolationMode.NEAREST_EXACT,
    "bilinear": InterpolationMode.BILINEAR,
    "bicubic": InterpolationMode.BICUBIC,
}


def to_input(image: Image.Image, preprocess: Preprocess, margin: float = 1.0) -> Tensor:
    """An RGB image as uint8 [3, S, S], resized and cropped, not yet normalised; [3, S, width] where it is squashed.

    S is image_size, or a little more for training: `margin` times that, with more of the image around the
    crop as long as there is some. Antialiased on bytes, which differs from Pillow by 2 of 255 at most.
    """
    side = round(preprocess.image_size * margin)
    if preprocess.squash and preprocess.aspect != 1:
        shape = [side, round(preprocess.width * margin)]
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
        return functional.resize(pixels, shape, _MODES[preprocess.interpolation], antialias=True).contiguous()
    size, left, top = (side, side), 0, 0
    if not preprocess.squash:
        size = _with_short_side(image.size, max(side, math.floor(preprocess.image_size / preprocess.crop_pct)))
        left, top = (round((length - side) / 2) for length in size)
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    resized = functional.resize(pixels, [size[1], size[0]], _MODES[preprocess.interpolation], antialias=True)
    crop = resized[:, top : top + side, left : left + side]
    return torch.from_numpy(np.ascontiguousarray(crop.numpy()))  # torch would start threads for this


def normalize(batch: Tensor, preprocess: Preprocess) -> Tensor:
    """A batch [B, 3, H, W], uint8 or float in 0..255, as float32 with the backbone's mean and std, channels last."""
    mean = torch.tensor(preprocess.mean, device=batch.device).view(1, 3, 1, 1) * 255.0
    std = torch.tensor(preprocess.std, device=batch.device).view(1, 3, 1, 1) * 255.0
    return batch.float().sub(mean).div_(std).contiguous(memory_format=torch.channels_last)


def augment(
    batch: Tensor, preprocess: Preprocess, draw: torch.Generator, smallest: float = 0.35, mirror: bool = True
) -> Tensor:
    """A random crop (area `smallest`..1, aspect 3/4..4/3) of each image, half of them mirrored, then normalised.

    batch uint8 [B, 3, S, S] -> float32 [B, 3, image_size, image_size]. Everything random comes from `draw` (on
    the CPU), so the same state gives the same batch. Inception crops (Szegedy et al. 2015, section 6), antialiased.
    """
    side, size = batch.shape[-1], [preprocess.image_size] * 2
    boxes, mirrored = _draw_boxes(len(batch), side, draw, smallest)
    crops = torch.stack([functional.resized_crop(image, *box, size) for image, box in zip(batch, boxes, strict=True)])
    if mirror:
        crops[mirrored] = crops[mirrored].flip(-1)
    return normalize(crops, preprocess)


def _draw_boxes(count: int, side: int, draw: torch.Generator, smallest: float) -> tuple[list[list[int]], Tensor]:
    """For each image (top, left, height, width) of its crop in pixels, and whether it is mirrored, bool [count]."""
    area = torch.empty(count).uniform_(smallest, 1.0, generator=draw)
    aspect = torch.empty(count).uniform_(math.log(3 / 4), math.log(4 / 3), generator=draw).exp()
    width = (side * (area * aspect).sqrt()).round().clamp(1, side)
    height = (side * (area / aspect).sqrt()).round().clamp(1, side)
    left = (torch.rand(count, generator=draw) * (side - width + 1)).floor()
    top = (torch.rand(count, generator=draw) * (side - height + 1)).floor()
    mirrored = torch.rand(count, generator=draw) < 0.5
    return torch.stack([top, left, height, width], dim=1).long().tolist(), mirrored


def _with_short_side(size: tuple[int, int], short: int) -> tuple[int, int]:
    """Width and height scaled so that the smaller is `short`."""
    width, height = size
    if width <= height:
        return short, max(short, int(short * height / width))
    return max(short, int(short * width / height)), short
