"""Images decoded once: a uint8 array in memory, or memory-mapped where it would be too large."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from studio.data.images import BadImage, read_image
from studio.data.items import Dataset, Item, Skipped
from studio.data.preprocess import Preprocess
from studio.data.transforms import to_input

IN_MEMORY = 2 * 2**30  # bytes


def decode(
    dataset: Dataset,
    preprocess: Preprocess,
    *,
    margin: float = 1.0,
    workers: int = 2,
    folder: Path | None = None,
    in_memory: int = IN_MEMORY,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[np.ndarray, Dataset]:
    """Pixels uint8 [N, 3, S, S] (S = image_size * margin) and the images they are of.

    Files that can't be decoded are dropped and named in the dataset's `skipped`. More than `in_memory`
    bytes go into a file below `folder`, memory-mapped.
    """
    side = round(preprocess.image_size * margin)
    pixels = _space((len(dataset), 3, side, side), in_memory, folder)
    kept: list[Item] = []
    skipped: list[Skipped] = list(dataset.skipped)

    def one(item: Item) -> np.ndarray | BadImage:
        try:
            return to_input(read_image(item.source, item.name, min_side=side), preprocess, margin).numpy()
        except BadImage as error:
            return error

    with ThreadPoolExecutor(max(1, workers)) as pool:
        for number, (item, found) in enumerate(zip(dataset.items, pool.map(one, dataset.items), strict=True), start=1):
            if isinstance(found, BadImage):
                skipped.append(Skipped(item.name, found.reason))
            else:
                pixels[len(kept)] = found
                kept.append(item)
            if number % 32 == 0 or number == len(dataset):
                on_progress(number, len(dataset))
    return pixels[: len(kept)], replace(dataset, items=kept, skipped=skipped, splits={})


def _space(shape: tuple[int, ...], in_memory: int, folder: Path | None) -> np.ndarray:
    if np.prod(shape, dtype=np.int64) <= in_memory or folder is None:
        return np.empty(shape, np.uint8)
    import tempfile

    folder.mkdir(parents=True, exist_ok=True)
    file = tempfile.NamedTemporaryFile(dir=folder, suffix=".pixels", delete=False)  # noqa: SIM115 - kept open by the map
    return np.memmap(file, dtype=np.uint8, mode="w+", shape=shape)
