"""`labelstudio:EXPORT.json?images=DIR`: Label Studio's JSON and JSON-MIN, boxes in percent of the image.

Of several annotations of one image the first that was not cancelled counts, which is said. Turned boxes, ellipses and
polygons have the upright box around them; brushes and points have none, and are named. label-studio-converter
(Apache-2.0) turns such a file into COCO or YOLO, and leaves images without a file name behind without a word; it is
not used.
"""

import math
from collections import Counter
from pathlib import Path
from typing import Any

from studio.core.errors import DataError
from studio.data.files.annotation_files import objects_in, read_json
from studio.data.files.annotations import Annotated, class_name, counted, gather
from studio.data.files.box_numbers import NAN, Four, Numbers, around, as_four, as_number, as_size
from studio.data.files.image_finder import ImageFinder
from studio.data.files.limits import Limits
from studio.data.files.no_such import no_such
from studio.data.files.zip_paths import AnyPath, source_of
from studio.data.items import Dataset, Skipped
from studio.data.readers.cvat import AROUND, ellipse, image_folders

OPTIONS = {"images": "the folder of the images (default: images, or beside the file)"}
KINDS = ("rectanglelabels", "polygonlabels", "ellipselabels", "labels")
IMAGE_SUFFIX = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError for a file that is no such export."""
    return read_from(Path(rest).expanduser(), options, limits)


def is_labelstudio(content: Any) -> bool:
    """Whether a JSON is a list of tasks."""
    if not isinstance(content, list) or not content or not all(isinstance(task, dict) for task in content):
        return False
    return all(isinstance(task.get("data"), dict) for task in content) or any(_is_min(task) for task in content)


def read_from(path: AnyPath, options: dict[str, str], limits: Limits) -> Dataset:
    """As `read`, from a file on disk or in a zip."""
    if not path.is_file():
        raise no_such(path)
    content = read_json(path, limits)
    if not is_labelstudio(content):
        raise DataError(f"{path.name}: expected a list of tasks, as Label Studio exports them as JSON or JSON-MIN.")
    missing: list[Skipped] = []
    counts: Counter[str] = Counter()
    tasks = [(_image_of(task), _results(task, counts)) for task in content]
    classes = sorted({name for _, results in tasks for result in results for name in _labels(result)[:1]})
    finder = ImageFinder(image_folders(path, options), outward=True).settled(name for name, _ in tasks)
    annotated = []
    for number, (name, results) in enumerate(tasks):
        image = finder.find(name)
        if image.path is None:
            missing.append(Skipped(name or f"task {number + 1}", image.reason))
            continue
        annotated.append(_annotated(name, image.path, results, classes, missing, counts))
    remarks = ["Read as Label Studio's JSON.", *counted(counts["around"], AROUND)]
    remarks += counted(counts["several"], "images have several annotations; the first of each was taken.")
    return gather(path.name, classes, annotated, missing, remarks, limits, Numbers("xyxy", "percent", asked=True))


def _is_min(task: dict[str, Any]) -> bool:
    return any(
        isinstance(value, list)
        and value
        and all(isinstance(result, dict) and any(k in result for k in KINDS) for result in value)
        for value in task.values()
    )


def _image_of(task: dict[str, Any]) -> str:
    """The path or URL of a task's image: what is called image, else the only text that looks like one."""
    data = task["data"] if isinstance(task.get("data"), dict) else task
    if isinstance(data.get("image"), str):
        return data["image"]
    texts = [
        text for text in data.values() if isinstance(text, str) and text.lower().split("?")[0].endswith(IMAGE_SUFFIX)
    ]
    return texts[0] if len(texts) == 1 else str(task.get("file_upload") or "")


def _results(task: dict[str, Any], counts: Counter[str]) -> list[dict[str, Any]]:
    if isinstance(task.get("data"), dict):
        given = task.get("annotations", task.get("completions"))
        kept = [entry for entry in objects_in(given) if not entry.get("was_cancelled")]
        counts["several"] += len(kept) > 1
        results = kept[0].get("result") if kept else []
    else:
        results = [result for value in task.values() if isinstance(value, list) for result in value]
    return [result for result in objects_in(results) if result.get("type") != "choices"]


def _value(result: dict[str, Any]) -> dict[str, Any]:
    return result["value"] if isinstance(result.get("value"), dict) else result


def _labels(result: dict[str, Any]) -> list[str]:
    for kind in KINDS:
        given = _value(result).get(kind)
        if isinstance(given, list):
            return [class_name(label) for label in given if class_name(label)]
    return []


def _annotated(
    name: str, image: AnyPath, results: list[dict[str, Any]], classes: list[str], missing: list[Skipped],
    counts: Counter[str],
) -> Annotated:  # fmt: skip
    sizes = [as_size(result.get("original_width"), result.get("original_height")) for result in results]
    stated = next((size for size in sizes if size), None)
    out = Annotated(image.name, source_of(image), stated=stated, upright=True, entry=name)
    for result in results:
        names = _labels(result)
        if len(names) != 1:
            if names or str(result.get("type", "")).endswith("labels"):
                missing.append(Skipped(image.name, f"a box has {len(names)} labels; expected one"))
            continue
        row, plain = _shape(_value(result), stated)
        if row is None:
            missing.append(Skipped(image.name, f"a shape of {names[0]!r} ({str(result.get('type'))[:20]}) has no box"))
            continue
        counts["around"] += not plain
        out.add(row, classes.index(names[0]))
    return out


def _shape(value: dict[str, Any], size: tuple[int, int] | None) -> tuple[Four | None, bool]:
    """Corners in percent, and whether they are the box itself. A box is turned about its upper left corner."""
    width, height = size or (1, 1)
    turn = as_number(value.get("rotation") or 0)
    if not math.isfinite(turn):
        return NAN, True
    if "radiusX" in value:
        cx, cy, rx, ry = as_four([value.get(key) for key in ("x", "y", "radiusX", "radiusY")])
        x1, y1, x2, y2 = ellipse(cx * width, cy * height, rx * width, ry * height, math.radians(turn))
        return (x1 / width, y1 / height, x2 / width, y2 / height), False
    if "points" in value:
        points = value["points"]
        good = isinstance(points, list) and all(isinstance(point, list) and len(point) == 2 for point in points)
        return (around(points) if good else NAN), False
    if "width" not in value:
        return None, False
    x, y, w, h = as_four([value.get(key) for key in ("x", "y", "width", "height")])
    if not turn:
        return (x, y, x + w, y + h), True
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    points = [
        (
            x + (a * w * width * cos - b * h * height * sin) / width,
            y + (a * w * width * sin + b * h * height * cos) / height,
        )
        for a in (0, 1)
        for b in (0, 1)
    ]
    return around(points), False
