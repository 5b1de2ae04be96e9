"""YOLO: `data.yaml`, images/train/ and labels/train/ with a line `class x y width height` a box; `yolo:` reads it."""

from pathlib import Path

import yaml

from studio.data.items import Dataset
from studio.data.writers.copied_images import Copied, copied

TRUTHS = ("boxes",)


def write(dataset: Dataset, out: Path) -> None:
    """Centres and sides are shares 0..1 of the image. Boxes to be ignored have no place in this format."""
    folder = out / "labels" / "train"
    folder.mkdir(parents=True)
    for copy in copied(dataset, out / "images" / "train"):
        (folder / f"{copy.path.stem}.txt").write_text("".join(_lines(copy)), encoding="utf-8")
    content = {"path": ".", "train": "images/train", "names": dict(enumerate(dataset.classes))}
    (out / "data.yaml").write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), encoding="utf-8")


def _lines(copy: Copied) -> list[str]:
    width, height = copy.size
    boxes = copy.item.boxes.rows(~copy.item.boxes.ignore)
    lines = []
    for (x1, y1, x2, y2), label in zip(boxes.xyxy.tolist(), boxes.labels.tolist(), strict=True):
        numbers = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
        lines.append(f"{label} " + " ".join(f"{number:.8f}" for number in numbers) + "\n")
    return lines
