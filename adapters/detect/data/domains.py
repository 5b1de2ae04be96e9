"""The two domains of a detection recipe: a source with boxes, and a target whose boxes are shown to nobody."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from adapters.detect.data.splits import resolve_box_splits
from studio.core.errors import DataError, UsageError
from studio.core.home import Home
from studio.data.domains import Domains, blind, require_domains, target_of
from studio.data.items import Dataset, Item

if TYPE_CHECKING:
    from adapters.detect.task import DetectData


def resolve_box_domains(data: "DetectData", seed: int, home: Home | None = None) -> Domains:
    """What a recipe's data.source, data.target and data.test name. The target's boxes, if any, are taken away here.

    The test is what data.test names, else the target's own test or val split, else its training images. Boxes of
    classes that the source has not are left out of it. Raises UsageError where a domain is not named, DataError
    where the source has no boxes.
    """
    require_domains(data.source, data.target, "a method that adapts")
    if data.train:
        raise UsageError("data.train: a method that adapts learns from data.source; leave data.train out.")
    splits = resolve_box_splits(data.model_copy(update={"train": data.source, "test": None}), seed, home)
    learned, test, where = target_of(data.target, data.test, home)
    if not data.test and not test.boxed:
        test = None
    note = f"{splits.note} Target: {len(learned)} images without their boxes."
    if test is not None:
        test, left_out = of_classes(test, splits.train.classes)
        note += f" Scored on {where}."
        if left_out:
            note += f" {left_out} boxes of classes that the source has not are left out of the score."
    return Domains(splits.train, splits.val, blind(learned), test, note)


def of_classes(dataset: Dataset, classes: list[str]) -> tuple[Dataset, int]:
    """The images with their boxes of `classes` alone, and how many others there were. Raises DataError if none."""
    if not dataset.boxed:
        raise DataError(f"data.test: {dataset.spec} has no boxes to score by.")
    items: list[Item] = []
    index_of = np.array([classes.index(name) if name in classes else -1 for name in dataset.classes], np.int64)
    left_out = 0
    for item in dataset.items:
        assert item.boxes is not None  # boxed
        labels = index_of[item.boxes.labels]
        known = labels >= 0
        left_out += int((~known).sum())
        items.append(replace(item, boxes=replace(item.boxes.rows(known), labels=labels[known])))
    if not any(len(item.boxes) for item in items if item.boxes is not None):
        raise DataError(f"data.test: {dataset.spec} has no box of the source's classes ({', '.join(classes[:8])}).")
    return replace(dataset, classes=classes, items=items), left_out
