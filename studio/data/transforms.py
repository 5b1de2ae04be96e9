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
TOGETHER_BYTES = 2**20  # of images that are resized in one go
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
    return _fitted(np.array(image)[None], preprocess, margin)[0]


class Inputs:
    """`to_input` of many images, [B, 3, S, S].

    Small ones of one size that follow each other are resized together, which takes a third of the time; of large ones
    none is kept.
    """

    def __init__(self, preprocess: Preprocess) -> None:
        self._preprocess = preprocess
        self._parts: list[Tensor] = []
        self._together: list[np.ndarray] = []

    def add(self, pixels: np.ndarray) -> None:
        """One more, RGB uint8 [H, W, 3]."""
        waiting = self._together
        if waiting and (waiting[0].shape != pixels.shape or (1 + len(waiting)) * pixels.nbytes > TOGETHER_BYTES):
            self._fit()
        waiting.append(pixels)

    def tensor(self) -> Tensor:
        """All of them."""
        self._fit()
        none = torch.empty(0, 3, self._preprocess.image_size, self._preprocess.width, dtype=torch.uint8)
        return torch.cat([none, *self._parts])

    def _fit(self) -> None:
        if self._together:
            self._parts.append(_fitted(np.stack(self._together), self._preprocess, 1.0))
            self._together.clear()


def _fitted(pixels: np.ndarray, preprocess: Preprocess, margin: float) -> Tensor:
    """uint8 [B, H, W, 3] of one size, resized and cropped: [B, 3, S, S]."""
    side, (height, width) = round(preprocess.image_size * margin), pixels.shape[1:3]
    if preprocess.squash:
        size = shown = (round(preprocess.width * margin), side)
    else:
        shown = (side, side)
        size = _with_short_side((width, height), max(side, math.floor(preprocess.image_size / preprocess.crop_pct)))
    left, top = (round((whole - part) / 2) for whole, part in zip(size, shown, strict=True))
    images, mode = torch.from_numpy(pixels).permute(0, 3, 1, 2), _MODES[preprocess.interpolation]
    resized = functional.resize(images, [size[1], size[0]], mode, antialias=True)
    crop = resized[:, :, top : top + shown[1], left : left + shown[0]]
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
