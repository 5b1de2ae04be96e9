"""Images of one look in memory: each at a short side of so many pixels, its shape kept, with its pair if it has one."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image
from torchvision.transforms.v2 import InterpolationMode, functional

from adapters.translate.film_filter import canvas
from studio.core.errors import DataError
from studio.core.procedure import Job
from studio.data.files.images import BadImage, read_image, stored_mode
from studio.data.items import Dataset, Item
from studio.data.load_split import shaped_pixels_of
from studio.data.pixels import Room, Size

ASPECT = 0.02  # by which the shapes of an image and its pair may differ
CLEAR = ("RGBA", "RGBa", "LA", "La", "PA")  # how images with transparent parts are stored


@dataclass
class Looks:
    """A decoded split: images uint8 [3, h, w], one entry an image; `pairs` the same in the other look, or empty."""

    images: list[np.ndarray]
    dataset: Dataset
    pairs: list[np.ndarray] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.images)

    def first(self, count: int) -> "Looks":
        """So many images of it, evenly over all; of a film the first, which follow each other."""
        rows = np.unique(np.linspace(0, len(self) - 1, min(count, len(self))).round().astype(int)).tolist()
        if self.dataset.items[0].frame is not None:
            rows = list(range(len(rows)))
        pairs = [self.pairs[row] for row in rows] if self.pairs else []
        return Looks([self.images[row] for row in rows], self.dataset.subset(rows), pairs)


def resized(pixels: torch.Tensor, size: Size) -> torch.Tensor:
    """Images [..., h, w] at a size (width, height), bicubic."""
    if (pixels.shape[-1], pixels.shape[-2]) == size:
        return pixels
    return functional.resize(pixels, [size[1], size[0]], InterpolationMode.BICUBIC, antialias=True)


def to_canvas(image: Image.Image, size: Size) -> np.ndarray:
    """An RGB image as uint8 [3, h, w] of this size."""
    return np.ascontiguousarray(resized(torch.from_numpy(np.array(image)).permute(2, 0, 1), size).numpy())


def decode_looks(job: Job, dataset: Dataset, short: int, what: str, least: int = 2) -> Looks:
    """The images that can be read, each with its pair at its own size where the data has pairs.

    What can't be read is named in the events. Raises DataError where fewer than `least` can.
    """

    images: list[np.ndarray] = []
    pairs: list[np.ndarray] = []
    room = Room.of_images(dataset.items, lambda size: canvas(size, short), job.folder / "pixels")

    def load(item: Item) -> list[np.ndarray]:
        image = read_image(item.source, item.name, min_side=short)
        size = canvas(image.size, short)
        if item.pair is None:
            return [to_canvas(image, size)]
        pair = read_image(item.pair, f"the pair of {item.name}", min_side=short)
        if abs(image.width * pair.height / (image.height * pair.width) - 1) > ASPECT:
            sizes = f"{image.width} x {image.height}", f"{pair.width} x {pair.height}"
            raise BadImage(item.name, f"it has {sizes[0]} pixels and its pair {sizes[1]}: other shapes")
        return [to_canvas(image, size), to_canvas(pair, size)]

    def keep(pixels: list[np.ndarray]) -> None:
        images.append(room.put(pixels[0]))
        pairs.extend(room.put(pixel) for pixel in pixels[1:])

    readable = shaped_pixels_of(job, dataset, load, keep, what)
    tell_of_modes(job, readable.items, what)
    if len(readable) < least:
        reasons = "; ".join(f"{skip.name}: {skip.reason}" for skip in readable.skipped[:3])
        raise DataError(
            f"{what}: {dataset.spec} has {len(readable)} usable images; at least {least} are needed"
            + (f" ({reasons})." if reasons else ".")
        )
    return Looks(images, readable, pairs)


def tell_of_modes(job: Job, items: Iterable[Item], what: str) -> None:
    """Says of images that are stored otherwise than in 8 bits and opaque what becomes of them."""
    modes = list(map(_mode, items))
    deep = sum(mode.startswith(("I", "F")) for mode in modes)
    clear = sum(mode in CLEAR for mode in modes)
    if deep:
        job.events.note(
            f"{what}: {deep} images have more than 8 bits and are brought to 8, each by the range of its values, so "
            "one brightness may come out differently in two of them. Save all in 8 bits to be sure."
        )
    if clear:
        job.events.note(f"{what}: {clear} images have transparent parts, which are put on white.")


def _mode(item: Item) -> str:
    try:
        return stored_mode(item.source, item.name)
    except BadImage:
        return ""
