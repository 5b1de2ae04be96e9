"""`cvat:ANNOTATIONS.xml?images=DIR`: "CVAT for images 1.1", the XML of the annotation tool CVAT.

Classes are the labels that its task states, in their order, or the names met. Boxes that are turned, polygons,
ellipses and polylines have the upright box around them; `?truth=masks` draws boxes, polygons, ellipses and brushed
masks as masks. datumaro (MIT) is CVAT's own reader and knows this format; it brings over a dozen packages, among them
pandas and OpenCV, for what takes a page here, and drops what it does not map without a word. XML of videos is refused:
its frames are no images.
"""

import math
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from studio.core.errors import DataError
from studio.data.files.annotation_files import read_xml
from studio.data.files.annotations import Annotated, class_name, counted, gather
from studio.data.files.box_numbers import Four, Numbers, around, as_four, as_number, as_size, rotated
from studio.data.files.image_finder import ImageFinder
from studio.data.files.layout import SPLITS
from studio.data.files.limits import LIMITS, Limits
from studio.data.files.no_such import no_such
from studio.data.files.zip_paths import AnyPath, source_of
from studio.data.items import Dataset, Skipped
from studio.data.masks.drawn import OPTION, draw_outlines, wants_masks
from studio.data.masks.outlines import Patch, around_circle

OPTIONS = {"images": "the folder of the images (default: images, or beside the file)", **OPTION}


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError for a file that is no XML of CVAT, or is that of a video."""
    path = Path(rest).expanduser()
    if path.is_dir() and len(files := sorted(path.glob("*.xml"))) == 1:
        path = files[0]
    return read_from(path, options, limits)


def read_from(path: AnyPath, options: dict[str, str], limits: Limits) -> Dataset:
    """As `read`, from a file on disk or in a zip."""
    if not path.is_file():
        raise no_such(path)
    tree = read_xml(path, limits)
    images = list(tree.iter("image"))
    if tree.tag != "annotations" or not images:
        video = (
            "; this is CVAT for video, so export it as 'CVAT for images 1.1'" if tree.find("track") is not None else ""
        )
        raise DataError(f"{path.name}: expected <annotations> with an <image> for each image{video}.")
    missing: list[Skipped] = []
    stated = [class_name(label.findtext("name") or "") for label in tree.iterfind("meta//label")]
    shapes = [shape for image in images for shape in image if shape.get("label") and shape.tag != "tag"]
    names = list(dict.fromkeys(filter(None, stated))) or sorted({class_name(shape.get("label")) for shape in shapes})
    finder = ImageFinder(image_folders(path, options)).settled(image.get("name") or "" for image in images)
    counts: Counter[str] = Counter()
    traced = wants_masks(options)
    entries = (_annotated(image, finder, names, missing, counts, traced) for image in images)
    annotated = [entry for entry in entries if entry is not None]
    remarks = ["Read as CVAT for images.", *counted(counts["around"], AROUND)]
    if traced:
        return draw_outlines(path.name, names, annotated, missing, remarks, limits)
    return gather(path.name, names, annotated, missing, remarks, limits, Numbers("xyxy"), f"Write cvat:{path.name}?")


AROUND = "objects are turned boxes or outlines; the upright box around each was taken."


def image_folders(path: AnyPath, options: dict[str, str]) -> list[AnyPath]:
    """Where the images of a file of annotations may be: in the folder that is named, or around the file."""
    if "images" in options:
        folder = Path(options["images"]).expanduser() if isinstance(path, Path) else path.root / options["images"]
        if not folder.is_dir():
            raise DataError(f"{path.name}: there is no folder {folder}. Name that of the images with ?images=FOLDER.")
        return [folder]
    places = [path.parent / "images", path.parent]
    return [folder for folder in places if folder.is_dir()]


def _annotated(
    image: Element, finder: ImageFinder, names: list[str], missing: list[Skipped], counts: Counter[str], traced: bool
) -> Annotated | None:
    name = image.get("name") or ""
    file = finder.find(name)
    if file.path is None:
        missing.append(Skipped(name or "an <image>", file.reason))
        return None
    split = SPLITS.get((image.get("subset") or "").lower())
    stated = as_size(image.get("width"), image.get("height"))
    out = Annotated(name, source_of(file.path), stated=stated, upright=True, split=split)
    for shape in image:
        label = class_name(shape.get("label") or "")
        if shape.tag in ("tag", "points", "skeleton", "cuboid") or (shape.tag == "mask" and not traced):
            missing.append(Skipped(name, f"a {shape.tag} of {label!r} has no {'area' if traced else 'box'}"))
            continue
        if label not in names:
            missing.append(Skipped(name, f"its {shape.tag} has the label {label!r}, which the task has not"))
            continue
        if traced:
            if (outline := _outline(shape)) is not None:
                out.outlines.append((names.index(label), outline))
            else:
                missing.append(Skipped(name, f"a {shape.tag} of {label!r} has no area"))
            continue
        row, plain = _shape(shape)
        if row is None:
            missing.append(Skipped(name, f"a {shape.tag} of {label!r} is no shape that is known"))
            continue
        counts["around"] += not plain
        out.add(row, names.index(label), False, None if plain else Numbers("xyxy", asked=True))
    return out


def _shape(shape: Element) -> tuple[Four | None, bool]:
    """Corners, and whether they are the box itself, not one around something."""
    turn = as_number(shape.get("rotation") or 0)
    if shape.tag == "box":
        x1, y1, x2, y2 = row = as_four([shape.get(key) for key in ("xtl", "ytl", "xbr", "ybr")])
        if not turn:
            return row, True
        return rotated((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, math.radians(turn)), False
    if shape.tag in ("polygon", "polyline"):
        points = [pair.split(",") for pair in (shape.get("points") or "").split(";") if pair]
        return around(pair[:2] if len(pair) == 2 else ("", "") for pair in points), False
    if shape.tag == "ellipse":
        cx, cy, rx, ry = as_four([shape.get(key) for key in ("cx", "cy", "rx", "ry")])
        return ellipse(cx, cy, rx, ry, math.radians(turn)), False
    return None, False


def _outline(shape: Element) -> Any:
    """The shape as a segmentation: polygons, or a patch of pixels; None for what has no area."""
    turn = math.radians(as_number(shape.get("rotation") or 0))
    if shape.tag == "box":
        x1, y1, x2, y2 = as_four([shape.get(key) for key in ("xtl", "ytl", "xbr", "ybr")])
        return _turned_box((x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1) / 2, (y2 - y1) / 2, turn)
    if shape.tag == "polygon":
        return [[as_number(value) for pair in (shape.get("points") or "").split(";") for value in pair.split(",")]]
    if shape.tag == "ellipse":
        return around_circle(*as_four([shape.get(key) for key in ("cx", "cy", "rx", "ry")]), turn)
    return _brushed(shape) if shape.tag == "mask" else None


def _turned_box(cx: float, cy: float, w: float, h: float, radians: float) -> list[list[float]]:
    """The outline of a box with these half sides."""
    cos, sin = math.cos(radians), math.sin(radians)
    corners = [(-w, -h), (w, -h), (w, h), (-w, h)]
    return [[value for x, y in corners for value in (cx + x * cos - y * sin, cy + x * sin + y * cos)]]


def _brushed(shape: Element) -> Patch | None:
    """A brushed mask: runs of zeros and ones in turn, row by row, of the part of the image that it states."""
    left, top, width, height = (as_number(shape.get(key)) for key in ("left", "top", "width", "height"))
    runs = np.array([as_number(run) for run in (shape.get("rle") or "").split(",")])
    if not (np.isfinite([left, top, width, height]).all() and np.isfinite(runs).all() and (runs >= 0).all()):
        return None
    if runs.sum() != width * height or runs.sum() > LIMITS.pixels:
        return None
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs.astype(np.int64))
    return Patch(int(left), int(top), flat.reshape(int(height), int(width)))


def ellipse(cx: float, cy: float, rx: float, ry: float, radians: float = 0.0) -> Four:
    """Corners of the upright box around an ellipse that is turned about its centre."""
    if not math.isfinite(radians):
        return math.nan, math.nan, math.nan, math.nan
    w = math.hypot(rx * math.cos(radians), ry * math.sin(radians))
    h = math.hypot(rx * math.sin(radians), ry * math.cos(radians))
    return cx - w, cy - h, cx + w, cy + h
