"""Splits in memory: each image at a short side of so many pixels, its shape kept, with its class map."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision.transforms.v2 import InterpolationMode, functional

from adapters.segment.data.packed import Packed, PackedMaps, pack
from studio.core.procedure import Job
from studio.data.domains import TargetSet
from studio.data.files.images import BadImage, read_image, upright
from studio.data.files.prefetch import in_order
from studio.data.items import Dataset, Item, Skipped
from studio.data.load_split import tell_of_skipped
from studio.data.masks.class_map import pixels_by_class
from studio.data.pixels import space

STRIDE = 32  # pixels: sides of what a network sees are multiples of it
LONGEST = 4  # times the short side that the long one may be; beyond that the image is squeezed
EVERY = 16  # images between two words on progress
Size = tuple[int, int]  # width, height


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

    def map_of(item: Item, pixels: np.ndarray) -> tuple[np.ndarray, Packed]:
        mask = item.mask.read()  # type: ignore[union-attr]
        mask = mask if own_size else at_size(mask, pixels.shape[2:0:-1])
        return pixels_by_class(len(dataset.classes), mask), pack(mask)

    images, found, decoded = _decoded(job, dataset, short, what, map_of)
    counts, packed = zip(*found, strict=True)
    maps = PackedMaps(packed)
    if not own_size:  # crops of them are taken at every step
        room = Room.of_maps(job, images)
        maps = [room.put(mask) for mask in maps]
    return MaskedSplit(images, maps, np.array(counts), decoded)


def decode_images(job: Job, target: TargetSet, short: int, what: str) -> list[np.ndarray]:
    """The images of a target that can be read, uint8 [3, h, w] each. Raises DataError where none can."""
    return _decoded(job, target, short, what, lambda item, pixels: None)[0]


def _decoded(
    job: Job, dataset: Any, short: int, what: str, map_of: Callable[[Any, np.ndarray], Any]
) -> tuple[list[np.ndarray], list[Any], Any]:
    """The images that can be read, what `map_of` makes of each, and the data set of those alone."""

    def load(item: Any) -> tuple[np.ndarray, Any] | BadImage:
        try:
            pixels = to_canvas(read_image(item.source, item.name, min_side=short), short).numpy()
            return pixels, map_of(item, pixels)
        except BadImage as error:
            return error

    room = Room.of_images(job, dataset, short)
    kept, images, maps = list[Any](), [], []
    skipped = list(dataset.skipped)
    threads = max(1, job.recipe.train.workers)
    with ThreadPoolExecutor(threads) as pool:
        loaded = in_order(pool, load, dataset.items, ahead=8 * threads)
        for number, (item, found) in enumerate(zip(dataset.items, loaded, strict=True), start=1):
            if isinstance(found, BadImage):
                skipped.append(Skipped(item.name, found.reason))
            else:
                kept.append(item)
                images.append(room.put(found[0]))
                maps.append(found[1])
            if number % EVERY == 0 or number == len(dataset):
                job.events.progress(f"reading {what}", number, len(dataset))
    decoded = replace(dataset, items=kept, skipped=skipped, splits={})
    tell_of_skipped(job, decoded, what)
    return images, maps, decoded


def at_size(mask: np.ndarray, size: Any) -> np.ndarray:
    """A class map [H, W] at `size` (width, height), by the nearest pixel."""
    width, height = size
    if mask.shape == (height, width):
        return mask
    tensor = torch.from_numpy(np.ascontiguousarray(mask))[None]
    return functional.resize(tensor, [height, width], InterpolationMode.NEAREST_EXACT)[0].numpy()


class Room:
    """One buffer for all arrays of a split, on disk where they would fill the memory."""

    def __init__(self, job: Job, size: int) -> None:
        self.at, self.buffer = 0, space((size,), None, job.folder / "pixels")

    @classmethod
    def of_images(cls, job: Job, dataset: Dataset, short: int) -> "Room":
        total = 0
        for item in dataset.items:
            try:
                width, height = canvas(upright(item.source, item.name)[0], short)
            except BadImage:
                continue  # which decoding says too
            total += 3 * width * height
        return cls(job, total)

    @classmethod
    def of_maps(cls, job: Job, images: Sequence[np.ndarray]) -> "Room":
        """For a map of each image, at its size."""
        return cls(job, sum(image[0].size for image in images))

    def put(self, pixels: np.ndarray) -> np.ndarray:
        """Keeps the pixels; returns them as they lie there."""
        place = self.buffer[self.at : self.at + pixels.size].reshape(pixels.shape)
        place[:] = pixels
        self.at += pixels.size
        return place
