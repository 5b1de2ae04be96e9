"""Image files of a data set, copied into a folder: as they are where they stand upright, turned where they don't."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from studio.data.files.images import SUFFIXES, read_image, upright
from studio.data.items import Dataset, Item
from studio.store.uploads import safe_name


@dataclass(frozen=True)
class Copied:
    """An image that was written: the item, where the file is, and its width and height."""

    item: Item
    path: Path
    size: tuple[int, int]


def copied(dataset: Dataset, folder: Path) -> Iterator[Copied]:
    """Copies every image into `folder`, its own folders being part of its name. Raises BadImage for a damaged one."""
    folder.mkdir(parents=True, exist_ok=True)
    taken: set[str] = set()
    for item in dataset.items:
        yield copy_into(folder, item, taken)


def copy_into(folder: Path, item: Item, taken: set[str]) -> Copied:
    """Copies one image under a name of which no other in `taken` has the stem; masks are named by the stem alone."""
    size, orientation = upright(item.source, item.name)
    raw = item.source.read()
    suffix = PurePosixPath(item.name).suffix.lower()
    if isinstance(raw, np.ndarray) or orientation != 1 or suffix not in SUFFIXES:
        path = folder / _free_name(item.name, ".png", taken)
        image = Image.fromarray(raw) if isinstance(raw, np.ndarray) else read_image(item.source, item.name)
        image.save(path)
        return Copied(item, path, image.size)
    path = folder / _free_name(item.name, suffix, taken)
    path.write_bytes(raw)
    return Copied(item, path, size)


def _free_name(name: str, suffix: str, taken: set[str]) -> str:
    pure = PurePosixPath(name)
    stem = safe_name("-".join([*pure.parts[:-1], pure.stem if pure.suffix.lower() in SUFFIXES else pure.name]))
    number, free = 1, stem
    while free.lower() in taken:
        number += 1
        free = f"{stem}-{number}"
    taken.add(free.lower())
    return free + suffix
