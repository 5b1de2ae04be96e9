"""`yolo:DATA.yaml`: YOLO's folders of pictures and of texts with a line `class x y width height` a box, in 0..1."""

from pathlib import Path
from typing import Any

import numpy as np

from studio.core.errors import DataError
from studio.data.files.annotation_files import read_text, read_yaml
from studio.data.files.annotations import Annotated, gather, refuse_wrong_format
from studio.data.files.images import SUFFIXES
from studio.data.files.limits import Limits
from studio.data.files.zip_paths import AnyPath, source_of
from studio.data.items import Dataset, Skipped

OPTIONS: dict[str, str] = {}
SPLITS = ("train", "val", "test")


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Class ids are places in `names`. Raises DataError where the YAML lacks what it needs, or boxes are in pixels."""
    return read_from(Path(rest).expanduser(), limits)


def read_from(path: AnyPath, limits: Limits) -> Dataset:
    """As `read`, from a file on disk or in a zip."""
    content = _load(path, limits)
    names = content["names"]
    ids = sorted(names) if isinstance(names, dict) else list(range(len(names)))
    classes = [str(names[one]) for one in ids]
    place = {one: index for index, one in enumerate(ids)}
    root = path.parent / str(content.get("path") or "")
    missing: list[Skipped] = []
    annotated: list[Annotated] = []
    texts: set[AnyPath] = set()
    count = {"fits": 0, "of": 0, "corners": 0}
    for split in SPLITS:
        for image in _images(root, path.parent, content.get(split), split, path.name, limits):
            annotated.append(_annotated(image, split, place, missing, count, limits))
            texts.add(_label_file(image))
    orphans = _orphans(texts)
    refuse_wrong_format(
        path.name, count["fits"], count["of"], "corners (x1, y1, x2, y2)",
        "YOLO needs centre and size; write the texts anew, or bring the set as coco: or voc:.", count["corners"],
    )  # fmt: skip
    remarks = [] if ids == list(range(len(ids))) else [f"Class ids have gaps ({ids[:6]}); they were numbered anew."]
    missing += [Skipped(name, "its picture is missing") for name in sorted(set(orphans))]
    return gather(path.name, classes, annotated, missing, remarks, limits)


def _load(path: AnyPath, limits: Limits) -> dict[str, Any]:
    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    content = read_yaml(path, limits)
    if not isinstance(content, dict) or not content.get("train") or not isinstance(content.get("names"), (list, dict)):
        raise DataError(f"{path.name}: expected `train` (a folder of pictures) and `names` (the classes).")
    return content


def _images(root: AnyPath, beside: AnyPath, given: Any, split: str, what: str, limits: Limits) -> list[AnyPath]:
    """The pictures of a split: of a folder, of several, or those that a text file lists."""
    out: list[AnyPath] = []
    for one in given if isinstance(given, list) else [given] if given else []:
        places = [place / str(one) for place in (root, beside)]
        found = next((place for place in places if place.exists()), None)
        if found is None:
            raise DataError(f"{what}: {split} is {one!r}, but there is no {places[0]}.")
        if found.is_dir():
            out += sorted(file for file in found.rglob("*") if file.suffix.lower() in SUFFIXES)
        else:
            lines = read_text(found, limits).splitlines()
            out += [found.parent / line.strip() for line in lines if line.strip()]
    return out


def _label_file(image: AnyPath) -> AnyPath:
    """The text of a picture: the last folder called images becomes labels; else it lies beside the picture."""
    parts = image.parts
    folder = image
    for number in range(len(parts) - 2, -1, -1):
        folder = folder.parent
        if parts[number] == "images":
            return (folder.parent / "labels" / "/".join(parts[number + 1 :])).with_suffix(".txt")
    return image.with_suffix(".txt")


def _annotated(
    image: AnyPath, split: str, place: dict[int, int], missing: list[Skipped], count: dict[str, int], limits: Limits
) -> Annotated:
    """A picture without a text, or with an empty one, shows nothing of the classes: it stays, as background."""
    out = Annotated(image.name, source_of(image), relative=True, upright=True, split=split)
    text = _label_file(image)
    for number, line in enumerate(read_text(text, limits).splitlines() if text.is_file() else (), start=1):
        values = _numbers(line)
        name = f"{text.name}, line {number}"
        if values is None or len(values) < 5:
            if line.strip():
                missing.append(Skipped(name, f"{line.strip()[:40]!r} is not `class x y width height`"))
            continue
        if values[0] not in place:
            missing.append(Skipped(name, f"there is no class {values[0]:g}"))
            continue
        x, y, w, h = _extent(values[1:]) if len(values) > 5 else values[1:]
        corners = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        count["of"] += 1
        count["fits"] += _inside(corners)
        count["corners"] += _inside((x, y, w, h))
        if max(abs(value) for value in (x, y, w, h)) > 2:
            missing.append(Skipped(name, "its numbers are pixels; YOLO's are shares of the picture, 0..1"))
            continue
        out.add(corners, place[int(values[0])])
    return out


def _orphans(texts: set[AnyPath]) -> list[str]:
    """Texts in the folders of `texts`, those of the pictures, that belong to no picture."""
    folders = {text.parent for text in texts if text.parent.name != "images"}
    found = {text for folder in folders if folder.is_dir() for text in folder.glob("*.txt")}
    return [text.name for text in found - texts if text.name not in ("classes.txt", "train.txt", "val.txt", "test.txt")]


def _extent(polygon: list[float]) -> tuple[float, float, float, float]:
    """The box around an outline x1 y1 x2 y2 ..., which segmentation sets have instead."""
    xs, ys = polygon[0::2], polygon[1::2]
    return (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2, max(xs) - min(xs), max(ys) - min(ys)


def _numbers(line: str) -> list[float] | None:
    try:
        return [float(part) for part in line.split()]
    except ValueError:
        return None


def _inside(corners: tuple[float, ...]) -> bool:
    x1, y1, x2, y2 = corners
    return bool(np.all(np.array([x1, y1, 1 - x2, 1 - y2]) >= -0.01)) and x1 < x2 and y1 < y2
