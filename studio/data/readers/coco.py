"""`coco:ANNOTATIONS.json?images=DIR`: COCO's JSON. Category ids may have gaps; they become 0..C-1 in their order."""

from pathlib import Path
from typing import Any

import numpy as np

from studio.core.errors import DataError
from studio.data.files.annotation_files import read_json
from studio.data.files.annotations import Annotated, gather, refuse_wrong_format
from studio.data.files.limits import Limits
from studio.data.files.zip_paths import AnyPath, source_of
from studio.data.items import Dataset, Skipped

OPTIONS = {
    "images": "the folder of the pictures (default: that of the file)",
    "boxes": "xywh (COCO's own) or xyxy, where a tool has written corners",
}


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError for a file that is empty, no COCO, or writes its boxes in another form than said."""
    path = Path(rest).expanduser()
    return read_from(path, Path(options.get("images", path.parent)).expanduser(), options, limits)


def read_from(path: AnyPath, folder: AnyPath, options: dict[str, str], limits: Limits) -> Dataset:
    """As `read`, from a file on disk or in a zip, with its pictures in `folder`."""
    content = _load(path, limits)
    form = options.get("boxes", "xywh")
    if not folder.is_dir():
        raise DataError(f"{path.name}: there is no folder {folder}. Name that of the pictures with ?images=FOLDER.")
    if form not in ("xywh", "xyxy"):
        raise DataError(f"{path.name}: boxes={form}; expected xywh or xyxy.")
    categories = sorted(content["categories"], key=lambda one: one["id"])
    place = {one["id"]: index for index, one in enumerate(categories)}
    names = [str(one.get("name", one["id"])) for one in categories]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or len(place) < len(categories):
        raise DataError(f"{path.name}: categories share the {'name' if twice else 'id'} {(twice or [''])[0]!r}.")
    missing: list[Skipped] = []
    pictures = _pictures(content, folder, missing)
    _annotate(content, pictures, place, form, path, missing)
    remarks = _id_map(categories)
    return gather(path.name, names, pictures.values(), missing, remarks, limits)


def _load(path: AnyPath, limits: Limits) -> dict[str, list[dict[str, Any]]]:
    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    content = read_json(path, limits)
    if content is None:
        raise DataError(f"{path.name} is empty; expected COCO's images, annotations and categories.")
    lists = ("images", "annotations", "categories")
    lacking = [key for key in lists if not isinstance(content, dict) or not isinstance(content.get(key), list)]
    if lacking:
        raise DataError(f"{path.name} has no list of {', '.join(lacking)}; COCO needs {', '.join(lists)}.")
    for key, needed in (("images", ("id", "file_name")), ("categories", ("id",)), ("annotations", ("image_id",))):
        for number, one in enumerate(content[key]):
            if not isinstance(one, dict) or any(name not in one for name in needed):
                raise DataError(f"{path.name}: {key}[{number}] lacks {' or '.join(needed)}.")
    if not content["categories"]:
        raise DataError(f"{path.name} names no categories, so its boxes have no class.")
    return content


def _pictures(content: dict[str, Any], folder: AnyPath, missing: list[Skipped]) -> dict[Any, Annotated]:
    """Pictures that are there, by their id."""
    out: dict[Any, Annotated] = {}
    inside = folder.resolve()
    for one in content["images"]:
        name = str(one["file_name"])
        path = (folder / name).resolve()
        if not path.is_relative_to(inside):
            missing.append(Skipped(name, "its path leads out of the folder of pictures"))
        elif not path.is_file():
            missing.append(Skipped(name, f"the picture is missing in {folder}"))
        else:
            width, height = one.get("width"), one.get("height")
            out[one["id"]] = Annotated(
                name, source_of(folder / name), stated=(width, height) if width and height else None
            )
    return out


def _annotate(
    content: dict[str, Any], pictures: dict[Any, Annotated], place: dict[Any, int], form: str, path: AnyPath,
    missing: list[Skipped],
) -> None:  # fmt: skip
    known = {one["id"] for one in content["images"]}
    fits = {"xywh": 0, "xyxy": 0}
    total = 0
    for one in content["annotations"]:
        name = f"annotation {one.get('id', '?')}"
        if one["image_id"] not in known:
            missing.append(Skipped(name, f"there is no image with its image_id {one['image_id']!r}"))
            continue
        if one.get("category_id") not in place:
            missing.append(Skipped(name, f"there is no category with its category_id {one.get('category_id')!r}"))
            continue
        picture = pictures.get(one["image_id"])
        if picture is None:
            continue  # its picture has been named already
        a, b, c, d = _four(one.get("bbox"))
        read = {"xywh": (a, b, a + c, b + d), "xyxy": (a, b, c, d)}
        if picture.stated:
            total += 1
            for kind, corners in read.items():
                fits[kind] += _inside(corners, picture.stated)
        picture.add(read[form], place[one["category_id"]], bool(one.get("iscrowd", 0)))
    other = "xyxy" if form == "xywh" else "xywh"
    words = {"xyxy": "corners (x1, y1, x2, y2)", "xywh": "COCO's x, y, width, height"}
    refuse_wrong_format(
        path.name, fits[form], total, words[other], f"Write coco:{path.name}?boxes={other} (and images=).", fits[other]
    )


def _four(box: Any) -> tuple[float, float, float, float]:
    """Four numbers; NaN where the box is something else, which is named later."""
    try:
        a, b, c, d = (float(value) for value in box)
    except (TypeError, ValueError):
        return (np.nan,) * 4
    return a, b, c, d


def _inside(corners: tuple[float, ...], size: tuple[int, int]) -> bool:
    x1, y1, x2, y2 = corners
    return -2 <= x1 < x2 <= size[0] + 2 and -2 <= y1 < y2 <= size[1] + 2


def _id_map(categories: list[dict[str, Any]]) -> list[str]:
    """A sentence where the ids are not 0..C-1 or 1..C."""
    ids = [one["id"] for one in categories]
    if ids in (list(range(len(ids))), list(range(1, len(ids) + 1))):
        return []
    shown = ", ".join(f"{one} became {index}" for index, one in list(enumerate(ids))[:4])
    return [
        f"Category ids have gaps; they were numbered anew in their order: {shown}{', ...' if len(ids) > 4 else ''}."
    ]
