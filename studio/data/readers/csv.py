"""`csv:FILE?images=DIR`: a table with a box in each row: TFOD's and Roboflow's `_annotations.csv`, OpenImages', others.

Columns are known by the words of the heading, whatever their order: an image, a class, and corners (xmin ymin xmax
ymax), corner and size (x y width height) or centre and size (cx cy w h). keras-retinanet's table without a heading
(path,x1,y1,x2,y2,class) is known by its numbers. VIA's CSV goes to `via:`. pandas could read the table, but it is
70 MB, guesses types (a class `007` or `NA` is no text any more) and knows nothing of boxes; the csv of Python is
enough.
"""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from studio.core.errors import DataError
from studio.data.files.annotation_files import Unreadable, not_utf8, read_text
from studio.data.files.annotations import Annotated, class_name, gather
from studio.data.files.box_numbers import OPTIONS as NUMBERS
from studio.data.files.box_numbers import Numbers, as_four, as_number, as_size
from studio.data.files.image_finder import ImageFinder
from studio.data.files.layout import SPLITS
from studio.data.files.limits import Limits
from studio.data.files.no_such import no_such
from studio.data.files.zip_paths import AnyPath, source_of
from studio.data.items import Dataset, Skipped
from studio.data.readers import via
from studio.data.readers.cvat import image_folders

OPTIONS = {
    "images": "the folder of the images (default: images, or beside the file)",
    **NUMBERS,
    "image": "the column of the image", "class": "the column of the class",
    "encoding": "that of the file, where it is not UTF-8",
}  # fmt: skip
IMAGE = (
    "filename",
    "file_name",
    "file",
    "image",
    "path",
    "img",
    "image_id",
    "imageid",
    "image_path",
    "image_name",
    "name",
)
CLASS = ("class", "label", "class_name", "classname", "labelname", "category", "label_name", "category_name", "name")
CORNERS = {
    "xyxy": (
        ("xmin", "ymin", "xmax", "ymax"), ("x1", "y1", "x2", "y2"), ("x_min", "y_min", "x_max", "y_max"),
        ("left", "top", "right", "bottom"), ("xtl", "ytl", "xbr", "ybr"),
    ),
    "cxcywh": (
        ("cx", "cy", "w", "h"), ("xcenter", "ycenter", "width", "height"), ("x_center", "y_center", "width", "height"),
    ),
    "xywh": (
        ("x", "y", "w", "h"), ("x", "y", "width", "height"), ("left", "top", "width", "height"),
        ("bbox_x", "bbox_y", "bbox_width", "bbox_height"), ("xmin", "ymin", "width", "height"),
    ),
}  # fmt: skip
SIZE = (("width", "height"), ("image_width", "image_height"), ("img_width", "img_height"))


@dataclass(frozen=True)
class Columns:
    """Where in a row things stand."""

    image: int
    label: int
    box: tuple[int, ...]
    form: str
    size: tuple[int, int] | None
    split: int | None
    heading: bool = True


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError for a table without boxes, or whose columns are not known."""
    return read_from(Path(rest).expanduser(), options, limits)


def read_from(path: AnyPath, options: dict[str, str], limits: Limits) -> Dataset:
    """As `read`, from a file on disk or in a zip."""
    if not path.is_file():
        raise no_such(path)
    rows = _rows(path, options, limits)
    if rows and via.is_via_csv(",".join(rows[0])):
        return via.read_from(path, {key: value for key, value in options.items() if key in via.OPTIONS}, limits)
    columns = columns_of(rows, options)
    if columns is None:
        heading = ", ".join(repr(word[:30]) for word in (rows[0] if rows else [])[:12]) or "nothing"
        raise DataError(
            f"{path.name}: expected a heading with an image, a class and the corners of a box, such as "
            f"filename,class,xmin,ymin,xmax,ymax; found {heading}. Name columns with ?image= and ?class=."
        )
    numbers = Numbers(columns.form).given(options, path.name)
    return _read(path, rows[columns.heading :], columns, numbers, options, limits)


def has_boxes(path: AnyPath, limits: Limits) -> bool:
    """Whether a table has a box in each row, by its first lines."""
    try:
        rows = _rows(path, {}, limits, most=5)
    except (DataError, OSError):
        return False
    return bool(rows) and (via.is_via_csv(",".join(rows[0])) or columns_of(rows, {}) is not None)


def columns_of(rows: list[list[str]], options: dict[str, str]) -> Columns | None:
    """What the columns of a table are; None where it has no boxes, or it is unclear where they are."""
    if not rows:
        return None
    words = [word.strip().lower().lstrip("#").replace(" ", "_") for word in rows[0]]
    for form, kinds in CORNERS.items():
        for kind in kinds:
            if all(words.count(word) == 1 for word in kind):
                return _headed(words, form, tuple(words.index(word) for word in kind), options)
    first = rows[0]
    if (
        len(first) == 6
        and all(as_number(x) == as_number(x) for x in first[1:5])
        and as_number(first[0]) != as_number(first[0])
    ):
        return Columns(0, 5, (1, 2, 3, 4), "xyxy", None, None, heading=False)
    return None


def _headed(words: Sequence[str], form: str, box: tuple[int, ...], options: dict[str, str]) -> Columns | None:
    def column(option: str, known: tuple[str, ...], taken: int | None = None) -> int | None:
        wanted = (options[option].strip().lower().replace(" ", "_"),) if option in options else known
        return next((words.index(name) for name in wanted if name in words and words.index(name) != taken), None)

    image = column("image", IMAGE)
    label = column("class", CLASS, image)
    if image is None or label is None:
        return None
    size = next((s for s in SIZE if all(name in words and words.index(name) not in box for name in s)), None)
    split = next((words.index(name) for name in ("split", "subset", "set") if name in words), None)
    return Columns(image, label, box, form, (words.index(size[0]), words.index(size[1])) if size else None, split)


def _rows(path: AnyPath, options: dict[str, str], limits: Limits, most: int | None = None) -> list[list[str]]:
    """The rows that hold anything, split at the mark (comma, semicolon, tab) that the first line has most of."""
    try:
        text = read_text(path, limits, options.get("encoding"))
    except (UnicodeDecodeError, LookupError) as error:
        raise Unreadable(path, f"{not_utf8(options.get('encoding'))}, or name it, as in ?encoding=gbk") from error
    first = text.lstrip().partition("\n")[0]
    mark = max(",;\t", key=first.count)
    rows = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=mark):
            if any(cell.strip() for cell in row):
                rows.append([cell.strip() for cell in row])
            if most is not None and len(rows) >= most:
                break
    except csv.Error as error:
        raise Unreadable(path, f"no CSV ({error})") from error
    return rows


def _read(
    path: AnyPath, rows: list[list[str]], columns: Columns, numbers: Numbers, options: dict[str, str], limits: Limits
) -> Dataset:
    missing: list[Skipped] = []
    last = max(columns.image, columns.label, *columns.box)
    long_enough = [row for row in rows if len(row) > last]
    if len(long_enough) < len(rows):
        missing.append(Skipped(f"{len(rows) - len(long_enough)} rows of {path.name}", "they have too few columns"))
    names = sorted({class_name(row[columns.label]) for row in long_enough} - {""})
    finder = ImageFinder(image_folders(path, options), outward=True).settled(row[columns.image] for row in long_enough)
    images: dict[str, Annotated | None] = {}
    splits: Counter[str] = Counter()
    for number, row in enumerate(long_enough, start=1):
        name = row[columns.image]
        if name not in images:
            images[name] = _image(name, row, columns, finder, missing)
        image = images[name]
        cells = [row[column] for column in columns.box]
        if image is None or not any(cells):
            continue  # a row without a box is an image that shows nothing
        if not class_name(row[columns.label]):
            missing.append(Skipped(f"{path.name}, row {number}", "it has no class"))
            continue
        splits[image.split or ""] += 1
        image.add(as_four(cells), names.index(class_name(row[columns.label])))
    remarks = [f"{path.name} is read as a table of boxes."]
    annotated = [image for image in images.values() if image is not None]
    return gather(path.name, names, annotated, missing, remarks, limits, numbers, f"Write csv:{path.name}?")


def _image(
    name: str, row: list[str], columns: Columns, finder: ImageFinder, missing: list[Skipped]
) -> Annotated | None:
    file = finder.find(name)
    if file.path is None:
        missing.append(Skipped(name or "a row", file.reason))
        return None
    stated = (
        as_size(row[columns.size[0]], row[columns.size[1]]) if columns.size and len(row) > max(columns.size) else None
    )
    split = SPLITS.get(row[columns.split].lower()) if columns.split is not None and len(row) > columns.split else None
    return Annotated(name, source_of(file.path), stated=stated, split=split)
