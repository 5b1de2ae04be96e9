"""Images decoded once a run: uint8 in memory, or in a file that is memory-mapped where they would fill it."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import psutil

from studio.core.errors import StoppedByUser, StoreError
from studio.data.files.images import BadImage, read_image, upright
from studio.data.files.prefetch import in_order
from studio.data.items import Dataset, Item, Skipped
from studio.data.preprocess import Preprocess
from studio.data.transforms import to_input

SHARE = 0.25  # of the memory that is free now: the most that pixels take of it
EVERY = 32  # images between two words on progress
Decoded = TypeVar("Decoded")
Size = tuple[int, int]  # width, height


def decode(
    dataset: Dataset,
    preprocess: Preprocess,
    *,
    margin: float = 1.0,
    workers: int = 2,
    folder: Path | None = None,
    in_memory: int | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[np.ndarray, Dataset]:
    """Pixels uint8 [N, 3, S, W] (see `to_input`), S = image_size * margin, and the images they are of.

    Files that can't be decoded are dropped and named in the dataset's `skipped`. More than `in_memory` bytes (None:
    a quarter of what is free) go into a nameless file below `folder` (None: the system's own for such), which is
    gone with the array. Raises StoreError where that disk is too small, and StoppedByUser.
    """
    side, width = round(preprocess.image_size * margin), round(preprocess.width * margin)
    pixels = space((len(dataset), 3, side, width), in_memory, folder)
    rows = iter(pixels)

    def load(item: Item) -> np.ndarray:
        return to_input(read_image(item.source, item.name, min_side=side), preprocess, margin).numpy()

    def keep(image: np.ndarray) -> None:
        next(rows)[:] = image

    readable = decode_each(dataset, load, keep, workers=workers, on_progress=on_progress, should_stop=should_stop)
    return pixels[: len(readable)], readable


def decode_each(
    dataset: Dataset,
    load: Callable[[Item], Decoded],
    keep: Callable[[Decoded], None],
    *,
    workers: int = 2,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Dataset:
    """Gives what `load` makes of each image to `keep`, in order, and returns the images that could be read.

    `load` runs in threads, ahead of `keep`. Images of which it raises BadImage are dropped and named in the dataset's
    `skipped`. Raises StoppedByUser.
    """
    kept: list[Item] = []
    skipped: list[Skipped] = list(dataset.skipped)

    def load_or_error(item: Item) -> Decoded | BadImage:
        try:
            return load(item)
        except BadImage as error:
            return error

    threads = max(1, workers)
    with ThreadPoolExecutor(threads) as pool:
        loaded = in_order(pool, load_or_error, dataset.items, ahead=8 * threads)
        for number, (item, decoded) in enumerate(zip(dataset.items, loaded, strict=True), start=1):
            if isinstance(decoded, BadImage):
                skipped.append(Skipped(item.name, decoded.reason))
            else:
                keep(decoded)
                kept.append(item)
            if number % EVERY == 0 or number == len(dataset):
                on_progress(number, len(dataset))
            if should_stop():
                raise StoppedByUser(f"Stopped after decoding {number} of {len(dataset)} images.")
    return replace(dataset, items=kept, skipped=skipped, splits={})


class Room:
    """One buffer for images of many shapes, on disk where they would fill the memory."""

    def __init__(self, size: int, folder: Path) -> None:
        self.at, self.buffer = 0, space((size,), None, folder)

    @classmethod
    def of_images(cls, items: Iterable[Item], canvas: Callable[[Size], Size], folder: Path) -> "Room":
        """For RGB images and the pair of each that has one, at the sizes that `canvas` makes of their own."""
        total = 0
        for item in items:
            try:
                width, height = canvas(upright(item.source, item.name)[0])
            except BadImage:
                continue  # which decoding says too
            looks = 1 if getattr(item, "pair", None) is None else 2  # images of a target have no pairs
            total += 3 * width * height * looks
        return cls(total, folder)

    def put(self, pixels: np.ndarray) -> np.ndarray:
        """Keeps the pixels; returns them as they lie there."""
        place = self.buffer[self.at : self.at + pixels.size].reshape(pixels.shape)
        place[:] = pixels
        self.at += pixels.size
        return place


def space(shape: tuple[int, ...], in_memory: int | None, folder: Path | None) -> np.ndarray:
    """Room for uint8 of this shape: in memory, or where it is more than `in_memory` in a nameless file in `folder`."""
    size = int(np.prod(shape, dtype=np.int64))
    most = SHARE * psutil.virtual_memory().available if in_memory is None else in_memory
    return np.empty(shape, np.uint8) if size <= most else _on_disk(shape, size, folder)


def _on_disk(shape: tuple[int, ...], size: int, folder: Path | None) -> np.memmap:
    where = Path(folder or tempfile.gettempdir())
    where.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(where).free
    try:
        if free < size:
            raise OSError(f"{free / 2**20:,.0f} MB are free")
        with tempfile.TemporaryFile(dir=where, suffix=".pixels") as file:
            if hasattr(os, "posix_fallocate"):  # else a disk that fills up later would end the process
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, dtype=np.uint8, mode="r+", shape=shape)
    except OSError as error:
        raise StoreError(
            f"The decoded images need {size / 2**20:,.0f} MB on the disk holding {where} ({error.strerror or error}). "
            "Free some space, or take a smaller model.image_size."
        ) from error
