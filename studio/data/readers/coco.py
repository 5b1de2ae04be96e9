"""`coco:ANNOTATIONS.json?images=DIR`: COCO's JSON, as Roboflow, CVAT, Label Studio and others write it too.

Category ids may have gaps; they become 0..C-1 in their order. An object without `bbox` has the box around its
outline; `?truth=masks` draws the outlines as masks over a class background. pycocotools and supervision read this
format too: the first (BSD) takes ids as they come and drops the image of a doubled one, the second (MIT) takes any four
numbers for x, y, width, height, and both say nothing; neither knows where the images are. What is read here is checked
against pycocotools in the tests.
"""

from collections import Counter
from pathlib import Path
from typing import Any

from studio.core.errors import DataError
from studio.data.files.annotation_files import read_json
from studio.data.files.annotations import Annotated, class_name, counted, gather
from studio.data.files.box_numbers import NAN, Four, Numbers, around, as_four, as_number, as_size, pairs, truth
from studio.data.files.box_numbers import OPTIONS as NUMBERS
from studio.data.files.ids import Ids
from studio.data.files.image_finder import ImageFinder
from studio.data.files.limits import Limits
from studio.data.files.no_such import no_such
from studio.data.files.zip_paths import AnyPath, source_of
from studio.data.items import Dataset, Skipped
from studio.data.masks.drawn import OPTION, draw_outlines, wants_masks
from studio.data.masks.outlines import unpacked
from studio.data.masks.published import say_counts

OPTIONS = {
    "images": "the folder of the images (default: that of the file)",
    **NUMBERS,
    **OPTION,
    "crowds": "learn: boxes that are marked iscrowd are learned like the others",
}
LISTS = {"images": ("id", "file_name"), "annotations": ("image_id",), "categories": ("id",)}
#: COCO's own files (cocodataset.org; train 19.3 GB, val 0.8 GB, annotations 0.25 GB): split, images
PUBLISHED = {"instances_train2017.json": ("train", 118_287), "instances_val2017.json": ("val", 5_000)}
RLE_PIXELS = 2**26  # of a mask that is unrolled only for its box


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError for a file that is empty, no COCO, or writes its boxes in another form than said."""
    path = Path(rest).expanduser()
    return read_from(path, options, limits)


def read_from(path: AnyPath, options: dict[str, str], limits: Limits) -> Dataset:
    """As `read`, from a file on disk or in a zip. Images are looked for in the folder that is named, else beside it."""
    content = _load(path, limits)
    numbers = Numbers("xywh").given(options, path.name)
    learn_crowds = _learns(options.get("crowds"), path)
    missing: list[Skipped] = []
    categories, remarks = _categories(content, path)
    places = Ids((category["id"], index) for index, category in enumerate(categories))
    names = [class_name(category.get("name", category["id"])) for category in categories]
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice or places.twice:
        key = "name" if twice else "id"
        raise DataError(
            f"{path.name}: categories share the {key} {(twice or places.twice)[0]!r}. Give each its own {key}."
        )
    images = _images(content, path, _folders(path, options), missing)
    if wants_masks(options):
        _outline_all(content, images, places, missing)
        there = [image for image in images.values() if image is not None]
        remarks += _id_map(categories) + _of_published(path.name, len(there))
        return draw_outlines(path.name, names, there, missing, remarks, limits)
    counts = _annotate(content, images, places, learn_crowds, missing)
    remarks += _id_map(categories) + _said(counts)
    annotated = [image for image in images.values() if image is not None]
    remedy = f"Write coco:{path.name}?" + ("images=...&" if "images" in options else "")
    return gather(path.name, names, annotated, missing, remarks, limits, numbers, remedy)


def _outline_all(
    content: dict[str, Any], images: Ids[Annotated | None], places: Ids[int], missing: list[Skipped]
) -> None:
    """Gives each image the outlines of its objects; what belongs to none is named."""
    for annotation in content["annotations"]:
        if annotation["image_id"] not in images or annotation.get("category_id") not in places:
            name = f"annotation {annotation.get('id', '?')}"
            missing.append(Skipped(name, "its image or its category is not in the file"))
        elif (image := images[annotation["image_id"]]) is not None:
            image.outlines.append((places[annotation["category_id"]], annotation.get("segmentation")))


def _load(path: AnyPath, limits: Limits) -> dict[str, list[dict[str, Any]]]:
    if not path.is_file():
        raise no_such(path)
    content = read_json(path, limits)
    if content is None:
        raise DataError(f"{path.name} is empty; expected COCO's images, annotations and categories.")
    lacking = [key for key in LISTS if not isinstance(content, dict) or not isinstance(content.get(key), list)]
    if lacking:
        raise DataError(f"{path.name} has no list of {', '.join(lacking)}; COCO needs {', '.join(LISTS)}.")
    for key, needed in LISTS.items():
        for number, entry in enumerate(content[key]):
            if not isinstance(entry, dict) or any(name not in entry for name in needed):
                raise DataError(f"{path.name}: {key}[{number}] lacks {' or '.join(needed)}.")
    if not content["categories"]:
        raise DataError(f"{path.name} names no categories, so its boxes have no class.")
    return content


def _learns(word: str | None, path: AnyPath) -> bool:
    if word not in (None, "learn", "ignore"):
        raise DataError(f"{path.name}: crowds={word}; expected learn or ignore.")
    return word == "learn"


def _folders(path: AnyPath, options: dict[str, str]) -> list[AnyPath]:
    """Where the images may be. One that is named is the only one."""
    if "images" in options:
        folder = path.root / options["images"] if not isinstance(path, Path) else Path(options["images"]).expanduser()
        if not folder.is_dir():
            raise DataError(f"{path.name}: there is no folder {folder}. Name that of the images with ?images=FOLDER.")
        return [folder]
    around_it = [path.parent, path.parent / "images", path.parent.parent, path.parent.parent / "images"]
    if isinstance(path, Path):
        around_it = around_it[:2] if path.parent.name != "annotations" else around_it
    else:
        around_it.append(path.root)
    return [folder for folder in around_it if folder.is_dir()]


def _categories(content: dict[str, Any], path: AnyPath) -> tuple[list[dict[str, Any]], list[str]]:
    """Categories in the order of their ids, without one that only groups the others, which is said."""
    categories = sorted(content["categories"], key=lambda category: _order(category["id"]))
    used = {str(annotation.get("category_id")) for annotation in content["annotations"]}
    groups = [
        category
        for category in categories
        if str(category["id"]) not in used
        and any(
            other is not category and other.get("supercategory") == category.get("name", "") for other in categories
        )
    ]
    kept = [category for category in categories if category not in groups]
    names = ", ".join(repr(class_name(category.get("name"))) for category in groups)
    if groups and kept:
        return kept, [f"{names} groups other categories and has no annotation: it is left out of the classes."]
    return categories, []


def _order(key: object) -> tuple[bool, float, str]:
    number = as_number(key)
    return (number != number, number if number == number else 0.0, str(key))


def _images(
    content: dict[str, Any], path: AnyPath, folders: list[AnyPath], missing: list[Skipped]
) -> Ids[Annotated | None]:
    """Images by id, None for a missing one, which is named. Raises DataError for an id that two images share."""
    finder = ImageFinder(folders).settled(str(entry["file_name"]) for entry in content["images"])
    entries: dict[str, dict[str, Any]] = {}
    unique = []
    for entry in content["images"]:
        key = f"{entry['id']!r} {entry['file_name']!r}"
        if key not in entries:
            entries[key] = entry
            unique.append(entry)
    ids = Ids((entry["id"], entry) for entry in unique)
    if ids.twice:
        shown = ", ".join(str(key) for key in ids.twice[:6])
        raise DataError(
            f"{path.name}: {len(ids.twice)} image ids occur twice ({shown}), so their boxes may belong to either "
            "image. Give each image its own id (in CVAT: export each task by itself, or rename equal files)."
        )
    out: list[tuple[object, Annotated | None]] = []
    for entry in unique:
        name = str(entry["file_name"])
        file = finder.find(name)
        if file.path is None:
            missing.append(Skipped(name, file.reason))
            out.append((entry["id"], None))
        else:
            stated = as_size(entry.get("width"), entry.get("height"))
            out.append((entry["id"], Annotated(name, source_of(file.path), stated=stated)))
    return Ids(out)


def _annotate(
    content: dict[str, Any], images: Ids[Annotated | None], places: Ids[int], learn_crowds: bool, missing: list[Skipped]
) -> Counter[str]:
    counts: Counter[str] = Counter()
    for annotation in content["annotations"]:
        name = f"annotation {annotation.get('id', '?')}"
        if annotation["image_id"] not in images:
            missing.append(Skipped(name, f"there is no image with its image_id {annotation['image_id']!r}"))
            continue
        if annotation.get("category_id") not in places:
            missing.append(
                Skipped(name, f"there is no category with its category_id {annotation.get('category_id')!r}")
            )
            continue
        image = images[annotation["image_id"]]
        if image is None:
            continue
        try:
            crowd = truth(annotation.get("iscrowd", 0))
        except ValueError as error:
            missing.append(Skipped(name, f"its iscrowd {error}"))
            continue
        box = annotation.get("bbox")
        outlined = box is None or (isinstance(box, list) and not box)
        row = _outline(annotation.get("segmentation")) if outlined else as_four(box)
        if outlined and row is NAN:
            missing.append(Skipped(name, "it has no bbox, and no outline that one could be made of"))
            continue
        counts["outline"] += outlined
        counts["crowd"] += crowd
        counts["all"] += 1
        meaning = Numbers("xyxy", asked=True) if outlined else None
        image.add(row, places[annotation["category_id"]], crowd and not learn_crowds, meaning)
    counts["learned crowds"] = counts["crowd"] * learn_crowds
    return counts


def _said(counts: Counter[str]) -> list[str]:
    sentences = counted(counts["outline"], "objects have no bbox; the box around their outline was taken.")
    if counts["crowd"] == counts["all"] and counts["crowd"] and not counts["learned crowds"]:
        sentences.append(
            f"All {counts['all']} boxes are marked iscrowd, so none is learned. Tools that write masks mark every "
            "object so; ?crowds=learn takes them as they are."
        )
    return sentences


def _outline(outline: Any) -> Four:
    """Corners around polygons [[x1, y1, ...], ...] or a run-length mask; NAN where there is neither."""
    if isinstance(outline, list) and outline:
        parts = outline if isinstance(outline[0], list) else [outline]
        try:
            corners = around(point for part in parts for point in pairs(part))
        except (TypeError, ValueError):
            return NAN
        return corners if corners[0] == corners[0] else NAN
    return _mask_box(outline) if isinstance(outline, dict) else NAN


def _mask_box(mask: dict[str, Any]) -> Four:
    """Corners of a run-length mask: `counts` of zeros and ones in turn, down the columns of `size`; or their text."""
    size, runs = mask.get("size"), mask.get("counts")
    runs = unpacked(runs) if isinstance(runs, str) else runs
    if not isinstance(runs, list) or not isinstance(size, list) or len(size) != 2:
        return NAN
    height = as_number(size[0])
    columns: list[tuple[float, float]] = []
    rows: list[tuple[float, float]] = []
    at = 0.0
    for number, run in enumerate(as_number(value) for value in runs):
        if not (run >= 0 and height >= 1) or at + run > RLE_PIXELS:
            return NAN
        if number % 2 and run:
            first, last = divmod(at, height), divmod(at + run - 1, height)
            columns.append((first[0], last[0] + 1))
            rows.append((first[1], last[1] + 1) if first[0] == last[0] else (0, height))
        at += run
    if not columns:
        return NAN
    (x1, x2), (y1, y2) = ((min(a for a, _ in runs), max(b for _, b in runs)) for runs in (columns, rows))
    return x1, y1, x2, y2


def _of_published(name: str, count: int) -> list[str]:
    """A sentence on how many images of COCO's own files are there."""
    split, expected = PUBLISHED.get(name, ("", 0))
    return say_counts("COCO 2017", {split: expected}, Counter({split: count})) if split else []


def _id_map(categories: list[dict[str, Any]]) -> list[str]:
    """A sentence where the ids are not 0..C-1 or 1..C."""
    ids = [category["id"] for category in categories]
    if ids in (list(range(len(ids))), list(range(1, len(ids) + 1))):
        return []
    shown = ", ".join(f"{old} became {index}" for index, old in list(enumerate(ids))[:4])
    return [
        f"Category ids have gaps; they were numbered anew in their order: {shown}{', ...' if len(ids) > 4 else ''}."
    ]
