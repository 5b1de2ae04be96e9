"""The part of a dataset's report card that is about masks: pixels of each class, and what is odd about them."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from studio.data.files.images import BadImage
from studio.data.items import Dataset
from studio.data.masks.class_map import pixels_by_class

FEW = 5  # images that a class must be in, below which little can be learned of it
RARE = 0.001  # share of the pixels below which a class is easily overlooked
EMPTY = 0.5  # share of void pixels that is worth a word


@dataclass(frozen=True, eq=False)
class Counts:
    """Pixels of each class in each image that could be read, int64 [N, C + 1], the last column void; rows of `data`.

    `broken` are (name, reason) of masks that could not.
    """

    pixels: np.ndarray
    rows: list[int]
    broken: list[tuple[str, str]]

    def of(self, rows: Iterable[int]) -> np.ndarray:
        """Those of the images `rows` alone."""
        wanted = set(rows)
        return self.pixels[[index for index, row in enumerate(self.rows) if row in wanted]]


def count_pixels(data: Dataset, rows: Iterable[int]) -> Counts:
    """Reads the masks of the images `rows`."""
    rows = list(rows)

    def count(row: int) -> np.ndarray | BadImage:
        try:
            return pixels_by_class(len(data.classes), data.items[row].mask.read())  # type: ignore[union-attr]
        except BadImage as error:
            return error

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(count, rows))
    good = [(row, counts) for row, counts in zip(rows, results, strict=True) if not isinstance(counts, BadImage)]
    broken = [(counts.name, counts.reason) for counts in results if isinstance(counts, BadImage)]
    pixels = np.array([counts for _, counts in good], np.int64).reshape(-1, len(data.classes) + 1)
    return Counts(pixels, [row for row, _ in good], broken)


def pixels_of_classes(data: Dataset, counts: Counts, rows: Iterable[int]) -> dict[str, int]:
    """Pixels of each class in the images `rows`."""
    return dict(zip(data.classes, counts.of(rows)[:, :-1].sum(axis=0).tolist(), strict=True))


def measure_masks(data: Dataset, counts: Counts) -> dict[str, Any]:
    """Numbers on all masks: pixels, the share that is void, and of each class its share and its images."""
    total, void = int(counts.pixels.sum()), int(counts.pixels[:, -1].sum())
    known = max(1, total - void)
    return {
        "pixels": total,
        "void": round(void / max(1, total), 5),
        "share": {
            name: round(count / known, 6)
            for name, count in pixels_of_classes(data, counts, counts.rows).items()
        },
        "images": dict(zip(data.classes, (counts.pixels[:, :-1] > 0).sum(axis=0).tolist(), strict=True)),
        "all_void": int((counts.pixels[:, :-1].sum(axis=1) == 0).sum()),
    }  # fmt: skip


def mask_problems(splits: dict[str, dict[str, int]], numbers: dict[str, Any], counts: Counts) -> list[str]:
    """Sentences for a person, from what the functions above gave."""
    sentences = [f"The mask of {name} can't be used: {reason}." for name, reason in counts.broken[:5]]
    images, share = numbers["images"], numbers["share"]
    present = [name for name, count in images.items() if count]
    if len(present) < 2:
        only = f"only {present[0]!r}" if present else "no class"
        return [*sentences, f"The masks show {only}; at least two classes are needed: a run is refused."]
    if empty := [name for name, count in images.items() if not count]:
        sentences.append(f"Classes without a pixel: {', '.join(empty[:10])}. They are never learned.")
    if few := [f"{name} ({images[name]})" for name in present if images[name] < FEW]:
        sentences.append(f"Classes in fewer than {FEW} images: {', '.join(few[:10])}. More images help most here.")
    if rare := [f"{name} ({100 * share[name]:.2g} %)" for name in present if share[name] < RARE]:
        sentences.append(
            f"Classes with less than {100 * RARE:g} % of the pixels: {', '.join(rare[:10])}. train.rare_classes shows "
            "them more often."
        )
    if numbers["void"] > EMPTY:
        sentences.append(
            f"{100 * numbers['void']:.0f} % of the pixels are void. Is ?ignore= or ?classes= what you meant?"
        )
    if numbers["all_void"]:
        sentences.append(f"{numbers['all_void']} masks are void all over; nothing is learned of their images.")
    train = splits.get("train", {})
    for split, split_counts in splits.items():
        lacking = [name for name, count in split_counts.items() if count and not train.get(name)]
        if train and lacking:
            sentences.append(f"Classes of {split} that train has not: {', '.join(lacking[:10])}.")
    return sentences


def what_masks_teach(counts: dict[str, int], images: int) -> str:
    """What a run would learn from, in a sentence; `counts` are pixels by class, of train where the data is divided."""
    present = [name for name, count in counts.items() if count]
    if len(present) < 2:
        return f"nothing: {len(present)} classes have any pixel, and it takes two to tell them apart"
    never = f"; never: {', '.join(name for name in counts if not counts[name])}" if len(present) < len(counts) else ""
    return f"{len(present)} classes of pixels in {images} images{never}"
