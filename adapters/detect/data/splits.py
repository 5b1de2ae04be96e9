"""The splits of a detection recipe."""

from typing import TYPE_CHECKING

import numpy as np

from adapters.detect.data.shots import few_shots, original
from studio.core.errors import DataError, nearest
from studio.core.home import Home
from studio.data.items import Dataset
from studio.data.splits import Splits, given_splits, leaks, train_and_val

if TYPE_CHECKING:
    from adapters.detect.task import DetectData


def resolve_box_splits(data: "DetectData", seed: int, home: Home | None = None) -> Splits:
    """As `resolve_splits`, for images with boxes; class indices are those of train.

    Of train only `data.shots` boxes of each class are left, where that is given, once any validation is held out.
    Raises DataError where a split has no boxes, or names a class that train has not.
    """
    train, val, test = given_splits(data, home)
    for name, part in (("train", train), ("val", val), ("test", test)):
        if part is not None:
            _require_boxes(name, part)
    train, val, note = train_and_val(
        data, train, val, seed, home, lambda part: _same_classes(part, train.classes, "val")
    )
    for name, part in (("train", train), ("val", val)):
        if not _learned(part):
            raise DataError(
                f"data.train: too few images of {train.spec} have boxes: once validation is held out, {name} has "
                "none left. Add some, or give data.val."
            )
    if test is not None:
        test = _same_classes(test, train.classes, "test")
    counts = np.bincount(_labels(train), minlength=len(train.classes))
    if never := [name for name, count in zip(train.classes, counts, strict=True) if not count]:
        note += f" Never in train, so not learned: {', '.join(never[:10])}."
    if data.shots is not None:
        train = few_shots(train, data.shots, seed)
        note += f" It has {_learned(val)} boxes, by which the epoch is chosen unless eval.selection is last."
    given = {"val": val} if test is None else {"val": val, "test": test}
    return Splits(train, val, test, note + leaks([original(item.source) for item in train.items], given, home))


def _require_boxes(name: str, part: Dataset) -> None:
    if not part.boxed:
        remarks = "".join(f" {remark}" for remark in part.remarks[:3])
        raise DataError(
            f"data.{name}: {part.spec} has no boxes. Detection needs voc:FOLDER, coco:FILE.json?images=FOLDER, "
            "yolo:DATA.yaml, an export of another tool, or builtin:scenes." + remarks
        )
    count = sum(len(item.boxes) for item in part.items if item.boxes is not None)
    if not count:
        raise DataError(f"data.{name}: no image of {part.spec} has a usable box. See `launch.py data check`.")
    if not _learned(part):
        raise DataError(
            f"data.{name}: all {count} boxes of {part.spec} are crowds or difficult objects, which are ignored: there "
            "is nothing to learn. ?crowds=learn (COCO) or ?difficult=learn (VOC) takes them as they are."
        )


def _same_classes(part: Dataset, classes: list[str], split: str) -> Dataset:
    used = {part.classes[label] for item in part.items if item.boxes is not None for label in item.boxes.labels}
    unknown = sorted(used - set(classes))
    if unknown:
        raise DataError(
            f"data.{split}: {part.spec} has the class {unknown[0]!r}, which train has not: was it renamed?"
            f"{nearest(unknown[0], classes)}"
        )
    index_of = [classes.index(name) if name in classes else -1 for name in part.classes]
    items = [item.relabelled(index_of) for item in part.items]
    return Dataset(part.spec, classes, items, part.skipped, remarks=part.remarks)


def _learned(part: Dataset) -> int:
    """Boxes that count: no crowds, no difficult objects."""
    return len(_labels(part))


def _labels(part: Dataset) -> np.ndarray:
    """Classes of the boxes that count, int64 [N]."""
    kept = [item.boxes.labels[~item.boxes.ignore] for item in part.items if item.boxes is not None]
    return np.concatenate([np.zeros(0, np.int64), *kept])
