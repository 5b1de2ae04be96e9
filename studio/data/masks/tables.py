"""Tables of classes: which value of a mask is which class, by a file, by the name of a known set, or as written."""

import re
from collections import Counter
from dataclasses import dataclass, replace

from studio.core.errors import DataError, nearest
from studio.data.files.annotation_files import read_lines
from studio.data.files.annotations import class_name
from studio.data.files.limits import Limits
from studio.data.files.zip_paths import AnyPath

FILES = (
    "classes.txt", "class_dict.csv", "classes.csv", "labels.txt", "labelmap.txt", "label_colors.txt", "codes.txt",
    "objectinfo150.txt",
)  # fmt: skip
NO_CLASS = {"void", "unlabeled", "unlabelled", "ignore", "ignored", "dontcare"}
NUMBER = re.compile(r"(?<![\w.#-])\d+(?:\.\d+)?(?![\w.])")
PARTS = re.compile(r"[,;:\t\"']+")

VOC = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
CAMVID = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist", "void",
)  # fmt: skip
#: the label ids of Cityscapes that are trained on, in the order of their train ids; GTA5 has the same ids
CITYSCAPES = {
    7: "road", 8: "sidewalk", 11: "building", 12: "wall", 13: "fence", 17: "pole", 19: "traffic light",
    20: "traffic sign", 21: "vegetation", 22: "terrain", 23: "sky", 24: "person", 25: "rider", 26: "car", 27: "truck",
    28: "bus", 31: "train", 32: "motorcycle", 33: "bicycle",
}  # fmt: skip
#: the numbers in SYNTHIA-RAND-CITYSCAPES of the classes of Cityscapes; terrain, truck and train it has not
SYNTHIA = {
    3: "road", 4: "sidewalk", 2: "building", 21: "wall", 5: "fence", 7: "pole", 15: "traffic light", 9: "traffic sign",
    6: "vegetation", -1: "terrain", 1: "sky", 10: "person", 17: "rider", 8: "car", -2: "truck", 19: "bus", -3: "train",
    12: "motorcycle", 11: "bicycle",
}  # fmt: skip
_SIXTEEN = [name for name, value in zip(SYNTHIA.values(), SYNTHIA, strict=True) if value >= 0]
#: classes that count where SYNTHIA is the source, as `eval.only` may name them: mIoU over 16, and over 13 of these
SUBSETS = {
    "synthia-16": _SIXTEEN,
    "synthia-13": [name for name in _SIXTEEN if name not in ("wall", "fence", "pole")],
}


@dataclass(frozen=True)
class Table:
    """Classes in their order, and the value that each has in a mask; `coloured`: values are colours 0xRRGGBB.

    `void` are values that name no class, as the table says; `closed`: all others name none either, and nothing is odd
    about them.
    """

    names: tuple[str, ...]
    values: tuple[int, ...]
    coloured: bool = False
    void: tuple[int, ...] = ()
    closed: bool = False


def table_of(names: list[str], values: list[int], coloured: bool = False, closed: bool = False) -> Table:
    """A table without the names that say themselves that they are no class."""
    pairs = list(zip(names, values, strict=True))
    kept = [(name, value) for name, value in pairs if name.casefold() not in NO_CLASS]
    void = tuple(value for name, value in pairs if name.casefold() in NO_CLASS)
    return Table(tuple(name for name, _ in kept), tuple(value for _, value in kept), coloured, void, closed)


KNOWN = {
    "voc": table_of(list(VOC), list(range(len(VOC)))),
    "camvid": table_of(list(CAMVID), list(range(len(CAMVID)))),
    "cityscapes": table_of(list(CITYSCAPES.values()), list(CITYSCAPES), closed=True),
    "synthia": table_of(list(SYNTHIA.values()), list(SYNTHIA), closed=True),
    "cityscapes-trainids": table_of(list(CITYSCAPES.values()), list(range(len(CITYSCAPES)))),
}


def chosen_table(word: str | None, root: AnyPath, limits: Limits) -> tuple[Table | None, str]:
    """The table that `?classes=` names (a known set, a file, or names joined by +), else a file of the usual names.

    Also a sentence on where it comes from. Raises DataError for one that can't be read.
    """
    if word is None:
        file = next((file for file in sorted(root.glob("*")) if file.name.lower() in FILES), None)
        return (read_table(file, limits), f"Classes are those of {file.name}.") if file else (None, "")
    if word.lower() in KNOWN:
        return KNOWN[word.lower()], ""
    file = root / word
    if file.is_file():
        return read_table(file, limits), ""
    if "+" in word:
        names = [class_name(name) for name in word.split("+")]
        return table_of(names, list(range(len(names)))), ""
    hint = nearest(word, KNOWN)
    raise DataError(
        f"classes={word}: expected a file of classes, names joined by + in the order of their numbers, or one of "
        f"{', '.join(KNOWN)}.{hint}"
    )


def read_table(file: AnyPath, limits: Limits) -> Table:
    """A file with a line for each class: its name alone, or with its number, its colour (r g b), or both.

    In whatever order and with whatever signs between, as Kaggle's class_dict.csv, CVAT's labelmap.txt, CamVid's
    label_colors.txt and ADE20K's objectInfo150.txt have them. Raises DataError.
    """
    lines = [line for line in read_lines(file, limits) if not line.startswith("#")]
    rows = [(_name(line), [float(number) for number in NUMBER.findall(line)], line) for line in lines]
    counts = Counter(len(numbers) for _, numbers, _ in rows)
    if not rows:
        raise DataError(f"{file.name} is empty; expected a class a line.")
    usual = counts.most_common(1)[0][0]
    rows = [row for row in rows if len(row[1]) == usual or not (row is rows[0] and usual)]  # without a heading
    odd = next((line for _, numbers, line in rows if len(numbers) != usual), None)
    names = [name or str(int(numbers[0])) for name, numbers, _ in rows if name or numbers]
    if odd is not None or len(names) < len(rows) or len(set(names)) < len(names):
        names, usual = [class_name(line) for _, _, line in rows], 0  # numbers are part of the names
    if len(set(names)) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise DataError(f"{file.name} names {twice!r} twice. Give each class a name of its own, a line each.")
    numbers = [row[1] for row in rows]
    if usual in (3, 4):
        return table_of(names, [_colour(row_numbers[-3:], file) for row_numbers in numbers], coloured=True)
    if usual in (1, 5):
        table = table_of(names, [int(row_numbers[0]) for row_numbers in numbers])
        return replace(table, void=(0,)) if usual == 5 else table  # ADE20K: 0 is what is none of its classes
    return table_of(names, list(range(len(names))))


def _name(line: str) -> str:
    parts = (part.strip(" ()[]{}") for part in PARTS.split(NUMBER.sub("", line)))
    return class_name(next((part for part in parts if part), ""))


def _colour(rgb: list[float], file: AnyPath) -> int:
    if not all(0 <= part <= 255 and part == int(part) for part in rgb):
        raise DataError(f"{file.name}: {rgb} is no colour; expected three whole numbers from 0 to 255.")
    red, green, blue = map(int, rgb)
    return red * 0x10000 + green * 0x100 + blue
