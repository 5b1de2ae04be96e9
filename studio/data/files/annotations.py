"""From the annotations of any format to one internal form: boxes checked one by one, and every fault named.

A reader hands over `Annotated` pictures; `gather` gives a Dataset whose items carry `Boxes`.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from studio.core.errors import DataError
from studio.data.boxes import Boxes
from studio.data.files.images import BadImage, upright
from studio.data.files.limits import Limits
from studio.data.items import Dataset, ImageSource, Item, Skipped

SLACK = 1.5  # pixels that a box may reach outside by rounding (VOC counts from 1) without a word


@dataclass
class Annotated:
    """One picture with its boxes as they were read: corners in pixels, or shares of its sides where `relative`."""

    name: str
    source: ImageSource
    corners: list[tuple[float, float, float, float]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    ignore: list[bool] = field(default_factory=list)
    stated: tuple[int, int] | None = None  # width and height, as the annotation has them
    relative: bool = False
    upright: bool = False  # its boxes are of the picture as EXIF turns it, where `stated` does not say otherwise
    split: str | None = None

    def add(self, corners: tuple[float, float, float, float], label: int, ignore: bool = False) -> None:
        self.corners.append(corners)
        self.labels.append(label)
        self.ignore.append(ignore)


def gather(
    what: str, classes: list[str], pictures: Iterable[Annotated], missing: list[Skipped], remarks: list[str],
    limits: Limits,
) -> Dataset:  # fmt: skip
    """The dataset of all pictures that can be used. `what` names the data in messages.

    A picture that is not there or can't be read, and a box that is none (NaN, no area, outside), goes into
    `skipped`; what was put right (turned corners, clipped edges) is counted in `remarks`. Raises DataError
    where no picture is left.
    """
    out = Dataset("", classes, [], list(missing), remarks=list(remarks))
    mended: Counter[str] = Counter()
    marks: dict[str, list[int]] = {}
    for picture in pictures:
        try:
            shown, orientation = upright(picture.source, picture.name, limits)
        except BadImage as error:
            out.skipped.append(Skipped(picture.name, error.reason))
            continue
        stored = shown[::-1] if orientation >= 5 else shown
        straight = drawn_upright(picture, shown, stored, orientation)
        size = shown if straight else stored
        if picture.stated and picture.stated != size:
            mended[f"state another size than their file has, such as {picture.name} ({picture.stated} for {size})"] += 1
        if picture.split:
            marks.setdefault(picture.split, []).append(len(out.items))
        boxes = _boxes(picture, size, out.skipped, mended)
        if not straight:
            boxes = replace(boxes, xyxy=turned(boxes.xyxy, size, orientation))
            mended["pictures are turned by their EXIF, and their boxes, drawn on the stored picture, with them"] += 1
        out.items.append(Item(picture.name, -1, picture.source, boxes=boxes))
    if not out.items:
        first = f" The first reason: {out.skipped[0].name}: {out.skipped[0].reason}." if out.skipped else ""
        raise DataError(f"{what}: no annotated picture can be used.{first}")
    out.splits = marks
    out.remarks += _counted(mended)
    return out


def drawn_upright(picture: Annotated, shown: tuple[int, int], stored: tuple[int, int], orientation: int) -> bool:
    """Whether the boxes were drawn on the upright picture (of size `shown`) or on the stored one.

    A stated size with exchanged sides tells the two apart. Where it can't, the boxes of COCO and VOC are of the stored
    picture, as pycocotools and torchvision read them, and those of YOLO of the upright one, as its trainers do.
    """
    if stored != shown and picture.stated in (stored, shown):
        return picture.stated == shown
    return orientation == 1 or picture.upright


def turned(xyxy: np.ndarray, stored: tuple[int, int], orientation: int) -> np.ndarray:
    """Boxes [N, 4] of a picture of the size it is stored in, as they lie once it is upright (EXIF orientation 2..8)."""
    width, height = stored
    x, y = xyxy[:, [0, 2]], xyxy[:, [1, 3]]
    if orientation in (2, 3, 7, 8):
        x = width - x[:, ::-1]
    if orientation in (3, 4, 6, 7):
        y = height - y[:, ::-1]
    if orientation >= 5:
        x, y = y, x
    return np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1)


def _boxes(picture: Annotated, size: tuple[int, int], skipped: list[Skipped], mended: Counter[str]) -> Boxes:
    """The usable boxes of a picture of this size, inside it."""
    width, height = size
    corners = np.array(picture.corners, np.float64).reshape(-1, 4) * (
        (width, height, width, height) if picture.relative else 1
    )
    kept, rows = [], []
    for number, (x1, y1, x2, y2) in enumerate(corners.tolist()):
        reason = None
        if not np.isfinite((x1, y1, x2, y2)).all():
            reason = "the box has NaN or infinite corners"
        elif x2 < x1 or y2 < y1:
            mended["boxes had their corners in the wrong order, and were turned"] += 1
            x1, x2, y1, y2 = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
        if reason is None and (x2 == x1 or y2 == y1):
            reason = f"the box has no area ({x1:g}, {y1:g}, {x2:g}, {y2:g})"
        elif reason is None and (x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height):
            reason = f"the box ({x1:g}, {y1:g}, {x2:g}, {y2:g}) lies outside the picture of {width} x {height}"
        if reason:
            skipped.append(Skipped(f"{picture.name}, box {number + 1}", reason))
            continue
        if min(x1, y1) < -SLACK or x2 > width + SLACK or y2 > height + SLACK:
            mended["boxes reached outside their picture, and were cut off at its edge"] += 1
        kept.append((max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)))
        rows.append(number)
    labels, ignore = np.array(picture.labels, np.int64), np.array(picture.ignore, bool)
    return Boxes.of(kept, labels[rows] if rows else [], ignore[rows] if rows else None)


def _counted(mended: Counter[str]) -> list[str]:
    """A sentence for each kind of thing; pictures of another size name one of them."""
    sizes = [key for key in mended if key.startswith("state another size")]
    said = [f"{count} {key}." for key, count in mended.items() if key not in sizes]
    return said + ([f"{len(sizes)} pictures {sizes[0]}."] if sizes else [])


def refuse_wrong_format(what: str, fits: int, of: int, other: str, remedy: str, fits_other: int) -> None:
    """Raises DataError where boxes read as asked mostly leave their pictures, but read as `other` they fit."""
    if of and fits < 0.5 * of and fits_other > max(fits, 0.9 * of):
        raise DataError(
            f"{what}: only {fits} of {of} boxes lie inside their pictures, but {fits_other} do when they are read as "
            f"{other}. {remedy}"
        )
