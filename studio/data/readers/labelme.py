"""`labelme:FOLDER?images=DIR`: a JSON for each image, as LabelMe and its kin (AnyLabeling, X-AnyLabeling) write it.

Rectangles are boxes; polygons, circles and turned rectangles have the upright box around them; points and lines have
none, and are named. With `?truth=masks` polygons, rectangles, circles and brushed masks are drawn as masks. Classes are
the labels met, in order of the alphabet. labelme itself (GPL) and labelme2coco are converters to other formats; both
take `imagePath` for the image whatever the file is called.
"""

import base64
import binascii
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from studio.core.errors import DataError
from studio.data.files.annotation_files import Unreadable, read_json
from studio.data.files.annotations import Annotated, class_name, counted, gather
from studio.data.files.box_numbers import Four, Numbers, around, as_four, as_number, as_size
from studio.data.files.image_finder import ImageFinder, beside, own_or_named, walk_files
from studio.data.files.images import BadImage, read_stored
from studio.data.files.layout import SPLITS
from studio.data.files.limits import Limits
from studio.data.files.no_such import no_such
from studio.data.files.zip_paths import AnyPath, source_of
from studio.data.items import Dataset, Skipped
from studio.data.masks.drawn import OPTION, draw_outlines, wants_masks
from studio.data.masks.outlines import Patch, around_circle
from studio.data.readers.cvat import AROUND

OPTIONS = {"images": "the folder of the images (default: beside the JSONs, or where they say)", **OPTION}


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError for a folder without such files."""
    return read_from(Path(rest).expanduser(), options, limits)


def is_labelme(content: Any) -> bool:
    """Whether a JSON is one image's annotation."""
    return isinstance(content, dict) and isinstance(content.get("shapes"), list) and "imagePath" in content


def read_from(root: AnyPath, options: dict[str, str], limits: Limits) -> Dataset:
    """As `read`, from a folder on disk or in a zip."""
    if not root.is_dir():
        raise no_such(root, "folder")
    missing: list[Skipped] = []
    traced = wants_masks(options)
    files: dict[AnyPath, tuple[str, dict[str, Any]]] = {}
    for file, below in walk_files(root):
        if file.suffix.lower() != ".json":
            continue
        try:
            content = read_json(file, limits)
        except (Unreadable, OSError) as error:
            missing.append(Skipped(file.name, error.reason if isinstance(error, Unreadable) else str(error)))
            continue
        if is_labelme(content):
            files[file] = (below, content)
        else:
            missing.append(Skipped(file.name, "this is no JSON of LabelMe (shapes, imagePath)"))
    if not files:
        raise DataError(f"{root} holds no JSON of LabelMe (shapes, imagePath).")
    labels = sorted({_label(shape) for _, content in files.values() for shape in content["shapes"]} - {""})
    finder = ImageFinder(_folders(root, options), outward=True)
    own = beside(finder.files())
    counts: Counter[str] = Counter()
    annotated = []
    for file, (below, content) in files.items():
        folder = below.rpartition("/")[0]
        named = str(content.get("imagePath") or "")
        at_home = [path for path in own.get(file.stem, []) if path.parent == file.parent]
        mine = {file.stem: at_home} if at_home else own
        inside = f"{folder}/{named}" if folder and finder.find(f"{folder}/{named}").path is not None else named
        image = own_or_named(finder, file, inside, mine)
        if image.path is None:
            missing.append(Skipped(file.name, image.reason))
            continue
        counts["renamed"] += image.respelled and bool(at_home)
        split = next((SPLITS[part.lower()] for part in below.split("/")[:-1] if part.lower() in SPLITS), None)
        annotated.append(_annotated(file, content, image.path, labels, split, missing, counts, traced))
    remarks = ["Read as LabelMe's JSON.", *counted(counts["around"], AROUND)]
    remarks += counted(counts["renamed"], "files name another image inside; the one with their own name was taken.")
    if traced:
        return draw_outlines(str(root), labels, annotated, missing, remarks, limits)
    return gather(str(root), labels, annotated, missing, remarks, limits, Numbers("xyxy", asked=False), "Mend it: ?")


def _folders(root: AnyPath, options: dict[str, str]) -> list[AnyPath]:
    if "images" in options:
        folder = Path(options["images"]).expanduser() if isinstance(root, Path) else root.root / options["images"]
        if not folder.is_dir():
            raise DataError(f"{root}: there is no folder {folder}. Name that of the images with ?images=FOLDER.")
        return [folder]
    return [folder for folder in (root, root.parent / "images") if folder.is_dir()]


def _label(shape: Any) -> str:
    return class_name(shape.get("label") or "") if isinstance(shape, dict) else ""


def _annotated(
    file: AnyPath, content: dict[str, Any], image: AnyPath, labels: list[str], split: str | None,
    missing: list[Skipped], counts: Counter[str], traced: bool,
) -> Annotated:  # fmt: skip
    stated = as_size(content.get("imageWidth"), content.get("imageHeight"))
    out = Annotated(image.name, source_of(image), stated=stated, upright=True, split=split, entry=str(file))
    for shape in content["shapes"]:
        if not (label := _label(shape)):
            missing.append(Skipped(file.name, "a shape has no label"))
            continue
        if traced:
            if (outline := _outline(shape)) is not None:
                out.outlines.append((labels.index(label), outline))
            else:
                missing.append(Skipped(file.name, f"a {str(shape.get('shape_type'))[:20]} of {label!r} has no area"))
            continue
        row, plain = _shape(shape)
        if row is None:
            kind = str(shape.get("shape_type"))[:20]
            missing.append(Skipped(file.name, f"a {kind} of {label!r} has no box"))
            continue
        counts["around"] += not plain
        out.add(row, labels.index(label), False, None if plain else Numbers("xyxy", asked=True))
    return out


def _shape(shape: dict[str, Any]) -> tuple[Four | None, bool]:
    """Corners, and whether they are the box itself; None for what has no extent."""
    points, kind = shape.get("points"), shape.get("shape_type") or "polygon"
    if not isinstance(points, list) or not all(isinstance(point, list) and len(point) == 2 for point in points):
        return None, False
    if kind == "rectangle" and len(points) == 2:
        x1, y1, x2, y2 = as_four([*points[0], *points[1]])
        return (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)), True
    if kind == "circle" and len(points) == 2:
        cx, cy, x, y = as_four([*points[0], *points[1]])
        radius = math.hypot(x - cx, y - cy)
        return (cx - radius, cy - radius, cx + radius, cy + radius), False
    if kind in ("polygon", "rectangle", "rotation") and len(points) > 2:
        return around(points), False
    return None, False


def _outline(shape: dict[str, Any]) -> Any:
    """The shape as a segmentation: polygons, or a patch of pixels; None for what has no area."""
    points, kind = shape.get("points"), shape.get("shape_type") or "polygon"
    if not isinstance(points, list) or not all(isinstance(point, list) and len(point) == 2 for point in points):
        return None
    flat = [as_number(value) for point in points for value in point]
    if not flat or not all(map(math.isfinite, flat)):
        return None
    if kind == "mask":
        return _brushed(shape.get("mask"), min(flat[::2]), min(flat[1::2]))
    if kind == "rectangle" and len(points) == 2:
        x1, y1, x2, y2 = flat
        return [[x1, y1, x2, y1, x2, y2, x1, y2]]
    if kind == "circle" and len(points) == 2:
        cx, cy, x, y = flat
        return around_circle(cx, cy, math.hypot(x - cx, y - cy), math.hypot(x - cx, y - cy))
    return [flat] if kind in ("polygon", "rectangle", "rotation") and len(points) > 2 else None


def _brushed(text: Any, left: float, top: float) -> Patch | None:
    """A brushed mask: a PNG in base64, whose pixels that are not 0 belong to the object."""
    try:
        raw = base64.b64decode(str(text), validate=True)
        pixels = read_stored(raw, "a mask")
    except (binascii.Error, BadImage):
        return None
    return Patch(round(left), round(top), np.asarray(pixels) != 0)
