"""COCO: `annotations.json` beside `images/`, with boxes or outlines; `coco:` reads it, masks with ?truth=masks."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from studio.data.items import Dataset, Item
from studio.data.masks.class_map import things_of
from studio.data.masks.drawn import GROUND
from studio.data.masks.outlines import run_lengths
from studio.data.writers.copied_images import copied

TRUTHS = ("boxes", "masks")


def write(dataset: Dataset, out: Path) -> None:
    """Categories count from 1 in the order of the classes, a class background being none of them."""
    names = [name for name in dataset.classes if not (dataset.masked and name == GROUND)]
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, copy in enumerate(copied(dataset, out / "images"), start=1):
        width, height = copy.size
        images.append({"id": number, "file_name": copy.path.name, "width": width, "height": height})
        for thing in _outlines(copy.item) if dataset.masked else _boxes(copy.item):
            label = dataset.classes[thing.pop("label")]
            if label in names:
                thing |= {"id": len(annotations) + 1, "image_id": number, "category_id": names.index(label) + 1}
                annotations.append(thing)
    categories = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (out / "annotations.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _boxes(item: Item) -> list[dict[str, Any]]:
    """bbox is [left, top, width, height] in pixels."""
    things = []
    for (x1, y1, x2, y2), label, ignore in zip(
        item.boxes.xyxy.tolist(), item.boxes.labels.tolist(), item.boxes.ignore.tolist(), strict=True
    ):
        sides = (x2 - x1, y2 - y1)
        things.append({"label": label, "bbox": [x1, y1, *sides], "area": sides[0] * sides[1], "iscrowd": int(ignore)})
    return things


def _outlines(item: Item) -> list[dict[str, Any]]:
    """segmentation is COCO's compressed RLE; parts of a class that do not touch are things of their own."""
    things = []
    for label, inside in things_of(item.mask):
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        if len(rows):
            box = [columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1]
            things.append(
                {
                    "label": label, "segmentation": run_lengths(inside), "area": int(inside.sum()),
                    "bbox": [int(side) for side in box], "iscrowd": 0,
                }
            )  # fmt: skip
    return things
