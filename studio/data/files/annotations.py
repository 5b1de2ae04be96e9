"""From the annotations of any format to one internal form: boxes checked one by one, and every fault named.

A reader hands over `Annotated` images; `gather` gives a Dataset whose items carry `Boxes`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from unicodedata import normalize

import numpy as np

from studio.core.errors import DataError
from studio.data.boxes import Boxes
from studio.data.files.box_numbers import Four, Numbers, judge, other_unit
from studio.data.files.images import BadImage, upright
from studio.data.files.limits import Limits
from studio.data.items import Dataset, FileSource, ImageSource, Item, Skipped

CORNERS = Numbers("xyxy")
SLACK = 1.5  # pixels that a box may reach outside by rounding (VOC counts from 1) without a word


@dataclass
class Annotated:
    """One image with its boxes as they were read: `rows` of four numbers, whose meaning is that of the set.

    A row may bring a meaning of its own (`meanings`), such as the box around an outline.
    """

    name: str
    source: ImageSource
    rows: list[Four] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    ignore: list[bool] = field(default_factory=list)
    meanings: list[Numbers | None] = field(default_factory=list)
    stated: tuple[int, int] | None = None  # width and height, as the annotation has them
    upright: bool = False  # its boxes are of the image as EXIF turns it, where `stated` does not say otherwise
    split: str | None = None
    outlines: list[tuple[int, Any]] = field(
        default_factory=list
    )  # class and shape of each object, where masks are read
    entry: str = ""  # what names this image in the annotations, where that is not `name`

    def add(self, row: Four, label: int, ignore: bool = False, meaning: Numbers | None = None) -> None:
        self.rows.append(row)
        self.labels.append(label)
        self.ignore.append(ignore)
        self.meanings.append(meaning)


@dataclass(frozen=True)
class _Placed:
    """An annotated image whose file was looked at: its size as the boxes were drawn, and how it is to be turned."""

    image: Annotated
    size: tuple[int, int]
    orientation: int
    straight: bool


def gather(
    what: str, classes: list[str], images: Iterable[Annotated], missing: list[Skipped], remarks: list[str],
    limits: Limits, numbers: Numbers = CORNERS, remedy: str = "Write ?",
) -> Dataset:  # fmt: skip
    """The dataset of all images that can be used. `what` names the data in messages, `numbers` what a row means.

    An image that is not there or can't be read, and a box that is none (NaN, no area, outside), goes into
    `skipped`; what was put right (turned corners, clipped edges) is counted in `remarks`. Raises DataError
    where no image is left, or the boxes are mostly written in another way than said (see `judge`; `remedy`
    begins what to do then).
    """
    out = Dataset("", classes, [], list(missing), remarks=list(remarks))
    mended: Counter[str] = Counter()
    placed = [_placed(image, out.skipped, mended, limits) for image in _once(images, out)]
    there = [entry for entry in placed if entry is not None]
    if not there:
        first = f" The first reason: {out.skipped[0].name}: {out.skipped[0].reason}." if out.skipped else ""
        raise DataError(f"{what}: no annotated image can be used.{first}")
    plain = [
        (row, entry.size)
        for entry in there
        for row, meaning in zip(entry.image.rows, entry.image.meanings, strict=True)
        if meaning is None
    ]
    judge(what, numbers, np.array([row for row, _ in plain]), np.array([size for _, size in plain]), remedy)
    marks: dict[str, list[int]] = {}
    for entry in there:
        image = entry.image
        if image.split:
            marks.setdefault(image.split, []).append(len(out.items))
        boxes = _boxes(image, entry.size, numbers, out.skipped, mended)
        if not entry.straight:
            boxes = replace(boxes, xyxy=turned(boxes.xyxy, entry.size, entry.orientation))
            mended["images are turned by their EXIF, and their boxes, drawn on the stored image, with them"] += 1
        out.items.append(Item(image.name, -1, image.source, boxes=boxes))
    out.splits = marks
    out.remarks += _counted(mended)
    return out


def class_name(written: object) -> str:
    """The name of a class as it is kept: accents in one form, no spaces around, nothing that can't be printed."""
    text = normalize("NFC", str(written).strip())
    return text.encode("utf-8", "replace").decode()


def counted(count: int, sentence: str) -> list[str]:
    """A remark with its count in front, where there is anything to count."""
    return [f"{count} {sentence}"] if count else []


def _once(images: Iterable[Annotated], out: Dataset) -> list[Annotated]:
    """One of each image and split. Equal entries are joined; different ones for one image are left out by name."""
    groups: dict[object, list[Annotated]] = {}
    for image in images:
        path = image.source.path if isinstance(image.source, FileSource) else getattr(image.source, "name", None)
        groups.setdefault((path or id(image), image.split), []).append(image)
    kept, joined = [], 0
    for group in groups.values():
        first = group[0]
        if len({image.entry or image.name for image in group}) > 1 or len({image.stated for image in group}) > 1:
            names = ", ".join(dict.fromkeys(image.entry or image.name for image in group[:3]))
            out.skipped.append(Skipped(names, f"several annotations mean the same image, {first.name}"))
            continue
        for other in group[1:]:
            joined += 1
            for row in zip(other.rows, other.labels, other.ignore, other.meanings, strict=True):
                first.add(*row)
        kept.append(first)
    if joined:
        out.remarks.append(f"{joined} images are annotated more than once; their boxes were put together.")
    return kept


def _placed(image: Annotated, skipped: list[Skipped], mended: Counter[str], limits: Limits) -> _Placed | None:
    try:
        shown, orientation = upright(image.source, image.name, limits)
    except BadImage as error:
        skipped.append(Skipped(image.name, error.reason))
        return None
    stored = shown[::-1] if orientation >= 5 else shown
    straight = drawn_upright(image, shown, stored, orientation)
    size = shown if straight else stored
    if image.stated and image.stated != size:
        mended[f"state another size than their file has, such as {image.name} ({image.stated} for {size})"] += 1
    return _Placed(image, size, orientation, straight)


def join_splits(parts: Sequence[tuple[str, Dataset]]) -> Dataset:
    """One dataset of several, each with the split that it is; classes are merged by name, as commas in a spec do."""
    classes = list(dict.fromkeys(name for _, part in parts for name in part.classes))
    index_of = {name: index for index, name in enumerate(classes)}
    out = Dataset("", classes, [])
    for split, part in parts:
        places = [index_of[name] for name in part.classes]
        out.splits.setdefault(split, []).extend(range(len(out.items), len(out.items) + len(part.items)))
        out.items += [replace(item.relabelled(places), name=f"{split}/{item.name}") for item in part.items]
        out.skipped += [replace(skip, name=f"{split}/{skip.name}") for skip in part.skipped]
        out.remarks += [f"{split}: {remark}" for remark in part.remarks]
    return out


def drawn_upright(image: Annotated, shown: tuple[int, int], stored: tuple[int, int], orientation: int) -> bool:
    """Whether the boxes were drawn on the upright image (of size `shown`) or on the stored one.

    A stated size with exchanged sides tells the two apart. Where it can't, the boxes of COCO and VOC are of the stored
    image, as pycocotools and torchvision read them; those of YOLO are of the upright one, as its trainers do, and so
    are those of tools that show it so: CVAT, LabelMe, Label Studio, VIA.
    """
    if stored != shown and image.stated in (stored, shown):
        return image.stated == shown
    return orientation == 1 or image.upright


def turned(xyxy: np.ndarray, stored: tuple[int, int], orientation: int) -> np.ndarray:
    """Boxes [N, 4] of an image of the size it is stored in, as they lie once it is upright (EXIF orientation 2..8)."""
    width, height = stored
    x, y = xyxy[:, [0, 2]], xyxy[:, [1, 3]]
    if orientation in (2, 3, 7, 8):
        x = width - x[:, ::-1]
    if orientation in (3, 4, 6, 7):
        y = height - y[:, ::-1]
    if orientation >= 5:
        x, y = y, x
    return np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1)


def _boxes(
    image: Annotated, size: tuple[int, int], numbers: Numbers, skipped: list[Skipped], mended: Counter[str]
) -> Boxes:
    """The usable boxes of an image of this size, inside it."""
    width, height = size
    kept, places = [], []
    for number, (row, meaning) in enumerate(zip(image.rows, image.meanings, strict=True)):
        how = meaning or numbers
        x1, y1, x2, y2 = how.corners(np.array([row]), np.array([size]))[0].tolist()
        reason = other_unit(row, how)
        if not np.isfinite((x1, y1, x2, y2)).all():
            reason = "the box has NaN or infinite corners"
        elif reason is None and (x2 < x1 or y2 < y1):
            mended["boxes had their corners in the wrong order, and were turned"] += 1
            x1, x2, y1, y2 = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
        if reason is None and (x2 == x1 or y2 == y1):
            reason = f"the box has no area ({x1:g}, {y1:g}, {x2:g}, {y2:g})"
        elif reason is None and (x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height):
            reason = f"the box ({x1:g}, {y1:g}, {x2:g}, {y2:g}) lies outside the image of {width} x {height}"
        if reason:
            skipped.append(Skipped(f"{image.name}, box {number + 1}", reason))
            continue
        if min(x1, y1) < -SLACK or x2 > width + SLACK or y2 > height + SLACK:
            mended["boxes reached outside their image, and were cut off at its edge"] += 1
        corners = np.array((max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)), np.float32)
        if not (corners[2:] > corners[:2]).all():
            skipped.append(Skipped(f"{image.name}, box {number + 1}", "the box has no area inside the image"))
            continue
        kept.append(corners)
        places.append(number)
    labels, ignore = np.array(image.labels, np.int64), np.array(image.ignore, bool)
    return Boxes.of(kept, labels[places] if places else [], ignore[places] if places else None)


def _counted(mended: Counter[str]) -> list[str]:
    """A sentence for each kind of thing; images of another size name one of them."""
    sizes = [key for key in mended if key.startswith("state another size")]
    sentences = [f"{count} {key}." for key, count in mended.items() if key not in sizes]
    return sentences + ([f"{len(sizes)} images {sizes[0]}."] if sizes else [])
