"""`list:FILE?root=FOLDER`: a plain list or table, as the splits of miniImageNet, CUB and CIFAR-FS come.

A line names an image and its class (`path label` or `path,label`), an image alone (its folder is the
class), or a folder (all images in it; its name is the class). Fields are parted by commas, semicolons or tabs; a
heading such as `filename,label` says which column is which, whatever others there are; where each column behind
the path is a class, of 0 and 1, the class of a row is the one that is 1 (Roboflow's `_classes.csv`). A table with
corners of boxes is read as `csv:` does. Paths are relative to `root` (default: the folder of the list), or one image
folder below it. `folder:` and `zip:` find a table of classes that has a heading.
"""

import csv
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from studio.core.errors import DataError
from studio.data.files.annotation_files import Unreadable, read_bytes
from studio.data.files.image_finder import ImageFinder, walk_files
from studio.data.files.images import SUFFIXES
from studio.data.files.layout import Entry, gather
from studio.data.files.limits import Limits
from studio.data.files.no_such import no_such
from studio.data.files.zip_paths import AnyPath, source_of
from studio.data.items import Dataset, Skipped
from studio.data.readers import csv as csv_boxes

OPTIONS = {"root": "the folder that the paths start from"}
PATHS = (
    "filename", "file_name", "file", "filepath", "file_path", "path", "image", "image_name", "image_path", "image_id",
    "img", "img_path", "img_name", "name", "id",
)  # fmt: skip
LABELS = ("label", "class", "class_name", "label_name", "category", "category_name", "target", "labels", "classes", "y")
CORNERS = {"xmin", "x_min", "x1", "bbox_x", "bbox"}
ENCODINGS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
WORKBOOKS = (".xlsx", ".xlsm", ".xls", ".ods")
LINE = 10_000  # characters of a line at most
BELOW = ("", "images", "data", "jpg")  # where the common sets keep their images


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError where the list or every one of its files is missing, or a path leads out of `root`."""
    return read_from(Path(rest).expanduser(), options, limits)


def read_from(path: AnyPath, options: dict[str, str], limits: Limits) -> Dataset:
    """As `read`, from a file on disk or in a zip."""
    if not path.is_file():
        raise no_such(path)
    if csv_boxes.has_boxes(path, limits):
        return csv_boxes.read_from(path, {"images": options["root"]} if "root" in options else {}, limits)
    root = _root(path, options)
    finder = ImageFinder([root])
    entries: list[Entry] = []
    missing: list[Skipped] = []
    for number, name, label in _lines(path, limits):
        if _leads_out(root, name):
            raise DataError(
                f"{path.name}: line {number} leads out of {root}. It is refused. Name the folder with ?root=FOLDER."
            )
        target = _find(root, name, finder)
        if target is None:
            missing.append(Skipped(f"{path.name}, line {number}", f"there is no such file below {root}"))
        elif target.is_dir():
            entries += [
                Entry(f"{name}/{below}", label or target.name, source_of(image))
                for image, below in walk_files(target)
                if PurePosixPath(below).suffix.lower() in SUFFIXES
            ]
        else:
            entries.append(Entry(name, label or target.parent.name, source_of(target)))
    if not entries:
        raise DataError(
            f"{path.name}: none of the files on its {len(missing)} lines is below {root}. Name the folder with "
            "?root=FOLDER."
        )
    return gather(path.name, entries, missing, limits)


def has_classes(path: AnyPath, limits: Limits) -> bool:
    """Whether a table with a heading gives classes to images that are there, by its first lines."""
    try:
        lines = _text_lines(path, limits)
        separator = _separator(lines[0][1]) if lines else None
        if separator is None:
            return False
        rows = _rows(lines, separator)
        column, label = (0, 1) if _one_hot(rows) else _columns(path, rows[0][1]) or (0, None)
    except (DataError, OSError):
        return False
    finder = ImageFinder([path.parent])
    first = [fields[column].replace("\\", "/") for _, fields in rows[1:6] if len(fields) > column]
    return label is not None and any(
        name and not _leads_out(path.parent, name) and _find(path.parent, name, finder) for name in first
    )


def _root(path: AnyPath, options: dict[str, str]) -> AnyPath:
    """The folder that the paths of a list start from. Raises DataError where there is none."""
    if "root" not in options:
        return path.parent
    root = Path(options["root"]).expanduser() if isinstance(path, Path) else path.root / options["root"]
    if not root.is_dir():
        raise DataError(f"{path.name}: there is no folder {root}.")
    return root


def _lines(path: AnyPath, limits: Limits) -> Iterator[tuple[int, str, str | None]]:
    """Triples (number of the line, path, class or None); lines without a path name nothing.

    No message says what a line holds: it may be any file.
    """
    if path.suffix.lower() in WORKBOOKS:
        raise DataError(f"{path.name} is a workbook. Save its sheet as CSV UTF-8, and name that: list:{path.stem}.csv")
    lines = _text_lines(path, limits)
    separator = _separator(lines[0][1]) if lines else None
    if separator and (table := _one_hot(_rows(lines, separator))):
        yield from _marked(path, *table)
        return
    columns = _columns(path, _fields(lines[0][1], separator)) if lines and separator else None
    for index, (number, line) in enumerate(lines):
        if index == 0 and (columns or line.strip().lower() in PATHS):
            continue
        name, label = _pair(line, separator or ",", columns or (0, 1))
        if name:
            yield number, name.replace("\\", "/"), label


def _one_hot(rows: list[tuple[int, list[str]]]) -> tuple[list[str], list[tuple[int, list[str]]]] | None:
    """The names of the classes, and the rows below, of a table with a column of 0 and 1 for each of two classes or
    more; None where it is no such table."""
    heading, below = rows[0][1], [(number, fields) for number, fields in rows[1:]]
    if heading[0].lower() not in PATHS or len(heading) < 3 or not below:
        return None
    whole = all(len(fields) == len(heading) and set(fields[1:]) <= {"0", "1"} for _, fields in below)
    return (heading[1:], below) if whole else None


def _marked(path: AnyPath, classes: list[str], rows: list[tuple[int, list[str]]]) -> Iterator[tuple[int, str, str]]:
    """As `_lines`, of a one-hot table. Raises DataError where a row has several classes, or none."""
    wrong = [number for number, fields in rows if fields[1:].count("1") != 1]
    if wrong:
        several = sum(fields[1:].count("1") > 1 for _, fields in rows)
        raise DataError(
            f"{path.name}: {several} of {len(rows)} rows have several classes and {len(wrong) - several} have none "
            f"(the first is line {wrong[0]}); expected exactly one 1 in each row: an image is of one class here. "
            "Leave these rows out, or keep one class in each."
        )
    for number, (name, *marks) in rows:
        yield number, name.replace("\\", "/"), classes[marks.index("1")]


def _text_lines(path: AnyPath, limits: Limits) -> list[tuple[int, str]]:
    """The lines that say something, with their numbers."""
    data = read_bytes(path, limits)
    try:
        text = data.decode(ENCODINGS.get(data[:2], "utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path.name} is no text file in UTF-8 or UTF-16; expected lines such as cat/1.jpg,cat. Save a table of "
            "Excel as CSV UTF-8."
        ) from error
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    for number, line in lines:
        if len(line) > LINE:
            raise Unreadable(path, f"line {number} has {len(line):,} characters; expected a path and a class")
    return lines


def _separator(line: str) -> str | None:
    """What parts the fields of a table, by its first line; None where it is no table."""
    return next((separator for separator in (";", "\t", ",") if separator in line), None)


def _rows(lines: list[tuple[int, str]], separator: str) -> list[tuple[int, list[str]]]:
    return [(number, _fields(line, separator)) for number, line in lines]


def _fields(line: str, separator: str) -> list[str]:
    return [field.strip() for field in next(csv.reader([line.strip("\r\n")], delimiter=separator), [])]


def _columns(path: AnyPath, heading: list[str]) -> tuple[int, int | None] | None:
    """Where the path and the class stand, by a heading; None where the first line is none. Raises DataError."""
    names = [name.lower().replace(" ", "_") for name in heading]
    if any(PurePosixPath(name).suffix in SUFFIXES for name in names):
        return None
    column = next((names.index(name) for name in PATHS if name in names), None)
    if column is None:
        return None
    label = next((names.index(name) for name in LABELS if name in names), None)
    if CORNERS & set(names):
        raise DataError(
            f"{path.name} lists boxes ({', '.join(heading)}), and list: is for images with one class each. Export the "
            "annotations as COCO, VOC or YOLO."
        )
    others = [number for number, name in enumerate(names) if number != column and name not in ("", "index")]
    if label is None and len(others) > 1:
        raise DataError(f"{path.name}: which column is the class? Found {', '.join(heading)}; call it label.")
    return column, others[0] if label is None and others else label


def _pair(line: str, separator: str, columns: tuple[int, int | None]) -> tuple[str, str | None]:
    """By columns in a table; `path label` where the first part ends like an image; else the whole line is a path."""
    if separator in line:
        fields = _fields(line, separator)
        column, label = columns
        named = fields[label] if label is not None and label < len(fields) else ""
        return (fields[column] if column < len(fields) else ""), named or None
    first, *rest = line.strip().rsplit(maxsplit=1)
    if rest and PurePosixPath(first).suffix.lower() in SUFFIXES:
        return first, rest[0]
    return line.strip(), None


def _leads_out(root: AnyPath, name: str) -> bool:
    return not (root / name).resolve().is_relative_to(root.resolve())


def _find(root: AnyPath, name: str, finder: ImageFinder) -> AnyPath | None:
    """The file or folder `name`; an id without suffix and folder is that of the one image that is called so."""
    for below in BELOW:
        if (root / below / name).exists():
            return root / below / name
    return finder.find(name).path if PurePosixPath(name).name == name and "." not in name else None
