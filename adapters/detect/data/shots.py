"""Few shots: so many boxes of each class, in images where nothing else is left that could be taken for background."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from studio.data.boxes import Boxes
from studio.data.files.images import read_image
from studio.data.items import Dataset, ImageSource, Item


@dataclass(frozen=True, eq=False)
class Painted:
    """An image of which some things are painted over in its mean colour.

    `kept` and `hidden` are corners xyxy [N, 4] in its pixels; what lies in a kept box is seen.
    """

    source: ImageSource
    kept: np.ndarray
    hidden: np.ndarray

    def read(self) -> np.ndarray:
        """Pixels uint8 [H, W, 3]."""
        seen = np.asarray(read_image(self.source))
        painted = seen.copy()
        for x1, y1, x2, y2 in _whole(self.hidden):
            painted[y1:y2, x1:x2] = seen.mean(axis=(0, 1)).round().astype(np.uint8)
        for x1, y1, x2, y2 in _whole(self.kept):
            painted[y1:y2, x1:x2] = seen[y1:y2, x1:x2]
        return painted

    def digest(self) -> str:
        text = f"{self.source.digest()} without {self.hidden.tolist()} but {self.kept.tolist()}"
        return hashlib.sha256(text.encode()).hexdigest()


def few_shots(data: Dataset, shots: int, seed: int) -> Dataset:
    """`shots` boxes of each class (all, where there are fewer) and the images they are in; told in its remarks.

    In an image of which not all boxes are picked, the other things are painted over. Boxes to ignore stay.
    """
    boxes = [item.boxes if item.boxes is not None else Boxes.of([], []) for item in data.items]
    learned = [np.where(each.ignore, -1, each.labels) for each in boxes]
    picked = pick(learned, len(data.classes), shots, seed)
    items = [_left(data.items[image], rows) for image, rows in sorted(picked.items())]
    labels = np.array([learned[at][row] for at, rows in picked.items() for row in rows], np.int64)
    counts = np.bincount(labels, minlength=len(data.classes))
    hidden = [item.source.hidden for item in items if isinstance(item.source, Painted)]
    remark = f"Shots: {counts.sum()} boxes, {shots} of each class, in {len(items)} images, seed {seed}."
    if hidden:
        remark += f" {sum(map(len, hidden))} other things in {len(hidden)} of them are painted over."
    few = [f"{name} ({count})" for name, count in zip(data.classes, counts, strict=True) if count < shots]
    if few:
        remark += f" There are fewer of {', '.join(few[:20])}."
    return replace(data, items=items, splits={}, remarks=[*data.remarks, remark])


def pick(labels: Sequence[np.ndarray], classes: int, shots: int, seed: int) -> dict[int, list[int]]:
    """Rows of the boxes that are picked, by their image; of each class `shots`, or all where there are fewer.

    labels[i] int [N_i] are the classes of the boxes in image i, -1 for those that are not learned. Images come in
    an order drawn by `seed`: first each whose boxes are all still wanted, then, for what is lacking, single boxes.
    """
    draw = np.random.default_rng(seed)
    wanted = np.full(classes, shots)
    picked: dict[int, list[int]] = {}
    order = draw.permutation(len(labels)).tolist()
    for image in order:
        rows = np.flatnonzero(labels[image] >= 0)
        counts = np.bincount(labels[image][rows], minlength=classes)
        if len(rows) and (counts <= wanted).all():
            picked[image] = rows.tolist()
            wanted -= counts
    for image in order:
        for row in [] if image in picked else draw.permutation(len(labels[image])).tolist():
            label = labels[image][row]
            if label >= 0 and wanted[label]:
                picked.setdefault(image, []).append(row)
                wanted[label] -= 1
    return {image: sorted(rows) for image, rows in picked.items()}


def original(source: ImageSource) -> ImageSource:
    """The image before anything was painted over."""
    return source.source if isinstance(source, Painted) else source


def _left(item: Item, picked: list[int]) -> Item:
    """The image with the boxes that are picked and those to ignore; the others are painted over."""
    boxes = item.boxes
    assert boxes is not None  # something was picked
    keep = boxes.ignore.copy()
    keep[picked] = True
    if keep.all():
        return item
    left = boxes.rows(keep)
    return replace(item, boxes=left, source=Painted(item.source, left.xyxy, boxes.xyxy[~keep]))


def _whole(corners: np.ndarray) -> list[list[int]]:
    """Corners on whole pixels, outwards."""
    return np.concatenate([np.floor(corners[:, :2]), np.ceil(corners[:, 2:])], axis=1).astype(int).tolist()
