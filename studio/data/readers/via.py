"""`via:EXPORT.json?images=DIR&class=ATTRIBUTE`: the VGG Image Annotator's JSON (its project too) and CSV.

Rectangles are boxes; circles, ellipses and polygons have the upright box around them; points and lines have none, and
are named. It runs in a browser, which turns images by their EXIF, so its numbers are of the upright image. Where
regions have several attributes, which one is the class is asked. No maintained library reads it.
"""

import csv
import io
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

from studio.core.errors import DataError, nearest
from studio.data.files.annotation_files import Unreadable, not_utf8, objects_in, read_json, read_text
from studio.data.files.annotations import Annotated, class_name, counted, gather
from studio.data.files.box_numbers import Four, Numbers, around, as_four, as_number
from studio.data.files.image_finder import ImageFinder
from studio.data.files.limits import Limits
from studio.data.files.no_such import no_such
from studio.data.files.zip_paths import AnyPath, source_of
from studio.data.items import Dataset, Skipped
from studio.data.readers.cvat import AROUND, ellipse, image_folders

OPTIONS = {
    "images": "the folder of the images (default: images, or beside the file)",
    "class": "the attribute of a region that is its class",
}
CLASS = ("class", "label", "name", "type", "category", "object")


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError for a file that is no such export, or where the class is unclear."""
    return read_from(Path(rest).expanduser(), options, limits)


def is_via(content: Any) -> bool:
    """Whether a JSON is an export or a project of VIA 1 or 2."""
    images = _images_of(content)
    return bool(images) and all(
        isinstance(image, dict) and "filename" in image and "regions" in image for image in images
    )


def is_via_csv(heading: str) -> bool:
    """Whether a CSV is one, by its first line."""
    return "region_shape_attributes" in heading


def read_from(path: AnyPath, options: dict[str, str], limits: Limits) -> Dataset:
    """As `read`, from a file on disk or in a zip."""
    if not path.is_file():
        raise no_such(path)
    missing: list[Skipped] = []
    images = _from_csv(path, limits) if path.suffix.lower() == ".csv" else _from_json(path, limits)
    key = _class_key(images, options, path)
    names = sorted({name for _, regions in images for region in regions for name in _classes(region, key)[:1]})
    finder = ImageFinder(image_folders(path, options), outward=True).settled(name for name, _ in images)
    counts: Counter[str] = Counter()
    annotated = []
    for name, regions in images:
        file = finder.find(name)
        if file.path is None:
            missing.append(Skipped(name, file.reason))
            continue
        out = Annotated(name, source_of(file.path), upright=True)
        for region in regions:
            _add(out, region, key, names, missing, counts)
        annotated.append(out)
    remarks = ["Read as the VGG Image Annotator's.", *counted(counts["around"], AROUND)]
    return gather(path.name, names, annotated, missing, remarks, limits, Numbers("xywh"), "Mend it: ?")


def _images_of(content: Any) -> list[Any]:
    if isinstance(content, dict):
        inner = content.get("_via_img_metadata", content)
        return list(inner.values()) if isinstance(inner, dict) else []
    return []


def _from_json(path: AnyPath, limits: Limits) -> list[tuple[str, list[dict[str, Any]]]]:
    content = read_json(path, limits)
    if not is_via(content):
        raise DataError(f"{path.name}: expected VIA's JSON, with a filename and regions for each image.")
    out = []
    for image in _images_of(content):
        regions = image["regions"]
        regions = list(regions.values()) if isinstance(regions, dict) else regions
        out.append((str(image["filename"]), objects_in(regions)))
    return out


def _from_csv(path: AnyPath, limits: Limits) -> list[tuple[str, list[dict[str, Any]]]]:
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(path, limits), newline="")))
    except UnicodeDecodeError as error:
        raise Unreadable(path, not_utf8()) from error
    except csv.Error as error:
        raise Unreadable(path, f"no CSV ({error})") from error
    out: dict[str, list[dict[str, Any]]] = {}
    for number, row in enumerate(rows, start=2):
        name = row.get("filename") or row.get("#filename") or ""
        regions = out.setdefault(name, [])
        try:
            shape, attributes = (
                json.loads(row.get(key) or "{}") for key in ("region_shape_attributes", "region_attributes")
            )
        except (ValueError, RecursionError) as error:
            raise Unreadable(path, f"line {number} holds no JSON in its columns of regions") from error
        if shape:
            regions.append({"shape_attributes": shape, "region_attributes": attributes})
    return list(out.items())


def _class_key(images: list[tuple[str, list[dict[str, Any]]]], options: dict[str, str], path: AnyPath) -> str:
    """The attribute that is the class. Raises DataError where several could be it."""
    keys = Counter(
        key
        for _, regions in images
        for region in regions
        if isinstance(region.get("region_attributes"), dict)
        for key, value in region["region_attributes"].items()
        if value not in ("", None, {})
    )
    if "class" in options:
        if options["class"] not in keys:
            raise DataError(f"{path.name}: no region has {options['class']!r}.{nearest(options['class'], keys)}")
        return options["class"]
    likely = [key for key in keys if key.lower() in CLASS]
    if len(keys) == 1 or len(likely) == 1:
        return likely[0] if likely else next(iter(keys))
    if not keys:
        raise DataError(f"{path.name}: its regions have no attributes, so its boxes have no class.")
    raise DataError(
        f"{path.name}: regions have the attributes {', '.join(list(keys)[:6])}. Say which is the class: "
        f"?class={next(iter(keys))}"
    )


def _classes(region: dict[str, Any], key: str) -> list[str]:
    """The classes of a region: one from text, a drop-down or a checkbox that is ticked."""
    attributes = region.get("region_attributes")
    given = attributes.get(key) if isinstance(attributes, dict) else None
    if isinstance(given, dict):
        given = [name for name, ticked in given.items() if ticked]
    names = given if isinstance(given, list) else [given]
    return [class_name(name) for name in names if isinstance(name, (str, int)) and class_name(name)]


def _add(
    out: Annotated, region: dict[str, Any], key: str, names: list[str], missing: list[Skipped], counts: Counter[str]
) -> None:
    classes = _classes(region, key)
    shape = region.get("shape_attributes")
    kind = str(shape.get("name"))[:20] if isinstance(shape, dict) else "nothing"
    if len(classes) != 1:
        missing.append(Skipped(out.name, f"a {kind} has {len(classes)} classes in {key!r}; expected one"))
        return
    row, plain = _shape(shape, kind) if isinstance(shape, dict) else (None, False)
    if row is None:
        missing.append(Skipped(out.name, f"a {kind} of {classes[0]!r} has no box"))
        return
    counts["around"] += not plain
    out.add(row, names.index(classes[0]), False, None if plain else Numbers("xyxy", asked=True))


def _shape(shape: dict[str, Any], kind: str) -> tuple[Four | None, bool]:
    """x, y, width, height of a rectangle; corners around anything else; None for what has no extent."""
    if kind == "rect":
        return as_four([shape.get(key) for key in ("x", "y", "width", "height")]), True
    if kind in ("circle", "ellipse"):
        cx, cy, rx, ry = as_four([
            shape.get("cx"), shape.get("cy"), shape.get("rx", shape.get("r")), shape.get("ry", shape.get("r")),
        ])  # fmt: skip
        theta = as_number(shape.get("theta") or 0)
        return ellipse(cx, cy, rx, ry, theta if math.isfinite(theta) else 0.0), False
    xs, ys = shape.get("all_points_x"), shape.get("all_points_y")
    if kind == "polygon" and isinstance(xs, list) and isinstance(ys, list) and len(xs) == len(ys):
        return around(zip(xs, ys, strict=True)), False
    return None, False
