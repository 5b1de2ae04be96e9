"""Splits in memory: each image at a short side of so many pixels, its shape kept, with its class map."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision.transforms.v2 import InterpolationMode, functional

from adapters.segment.data.packed import Packed, PackedMaps, pack
from studio.core.procedure import Job
from studio.data.domains import TargetSet
from studio.data.files.images import read_image
from studio.data.items import Dataset, Item
from studio.data.load_split import shaped_pixels_of
from studio.data.masks.class_map import pixels_by_class
from studio.data.pixels import Room, Size

STRIDE = 32  # pixels: sides of what a network sees are multiples of it
LONGEST = 4  # times the short side that the long one may be; beyond that the image is squeezed


@dataclass
class MaskedSplit:
    """A decoded split: images uint8 [3, h, w] and maps uint8; one entry an image.

    Maps of a size of their own are packed, and unpacked when they are asked for.
    counts int64 [N, C + 1]: pixels of each class, the last column void.
    """

    images: list[np.ndarray]
    maps: Sequence[np.ndarray]
    counts: np.ndarray
    dataset: Dataset


def canvas(size: Size, short: int) -> Size:
    """The size of an image brought to a short side of `short` pixels, its shape kept as multiples of 32 allow."""
    width, height = size
    factor = short / min(size)
    longest = LONGEST * short
    return (
        rounded(min(longest, width * factor)) if width > height else rounded(short),
        rounded(min(longest, height * factor)) if height > width else rounded(short),
    )


def rounded(side: float) -> int:
    """The nearest multiple of 32 pixels."""
    return max(STRIDE, round(side / STRIDE) * STRIDE)


def to_canvas(image: Image.Image, short: int) -> torch.Tensor:
    """An RGB image as uint8 [3, h, w]."""
    width, height = canvas(image.size, short)
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    return functional.resize(pixels, [height, width], InterpolationMode.BILINEAR, antialias=True)


def decode_masked(job: Job, dataset: Dataset, short: int, what: str, own_size: bool = False) -> MaskedSplit:
    """The images that can be read with their class maps, at the images' size, or at their own where `own_size`.

    What can't be read is named in the events. Raises DataError where nothing can.
    """
    images: list[np.ndarray] = []
    counts: list[np.ndarray] = []
    packed: list[Packed] = []
    room = _room(job, dataset, short)

    def load(item: Item) -> tuple[np.ndarray, np.ndarray, Packed]:
        pixels = _pixels(item, short)
        mask = item.mask.read()  # type: ignore[union-attr]
        mask = mask if own_size else at_size(mask, pixels.shape[2:0:-1])
        return pixels, pixels_by_class(len(dataset.classes), mask), pack(mask)

    def keep(loaded: tuple[np.ndarray, np.ndarray, Packed]) -> None:
        images.append(room.put(loaded[0]))
        counts.append(loaded[1])
        packed.append(loaded[2])

    readable = shaped_pixels_of(job, dataset, load, keep, what)
    maps: Sequence[np.ndarray] = PackedMaps(packed)
    if not own_size:  # crops of them are taken at every step
        room = Room(sum(image[0].size for image in images), job.folder / "pixels")
        maps = [room.put(mask) for mask in maps]
    return MaskedSplit(images, maps, np.array(counts), readable)


def decode_images(job: Job, target: TargetSet, short: int, what: str) -> list[np.ndarray]:
    """The images of a target that can be read, uint8 [3, h, w] each. Raises DataError where none can."""
    images: list[np.ndarray] = []
    room = _room(job, target, short)
    shaped_pixels_of(
        job, target, lambda item: _pixels(item, short), lambda pixels: images.append(room.put(pixels)), what
    )
    return images


def _pixels(item: Item, short: int) -> np.ndarray:
    return to_canvas(read_image(item.source, item.name, min_side=short), short).numpy()


def _room(job: Job, dataset: Any, short: int) -> Room:
    return Room.of_images(dataset.items, lambda size: canvas(size, short), job.folder / "pixels")


def at_size(mask: np.ndarray, size: Any) -> np.ndarray:
    """A class map [H, W] at `size` (width, height), by the nearest pixel."""
    width, height = size
    if mask.shape == (height, width):
        return mask
    tensor = torch.from_numpy(np.ascontiguousarray(mask))[None]
    return functional.resize(tensor, [height, width], InterpolationMode.NEAREST_EXACT)[0].numpy()
