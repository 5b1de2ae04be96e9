"""What the values of all masks of a set mean together: numbers or colours, classes or void, and what is odd there."""

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np

from studio.core.errors import DataError
from studio.data.files.images import BadImage, inspect_image, upright
from studio.data.files.limits import Limits
from studio.data.items import ImageSource
from studio.data.masks.class_map import MOST_CLASSES, VOID
from studio.data.masks.mask_files import COLOURS, DARK, LIGHT, Coding, read_values
from studio.data.masks.tables import Table, table_of

ASPECT = 0.02  # by which the shapes of a mask and its image may differ
CLEAR = 0.98  # share of the pixels of a lossy mask that must be nearly black or white
DEEP_VOID = 65535  # of 16 bits
NAMED = 6  # values in a sentence


@dataclass(frozen=True)
class Looked:
    """One mask that was read: the values that are in it, and what of its image must be known."""

    name: str
    image: ImageSource
    mask: ImageSource
    size: tuple[int, int]  # width and height of the mask
    shown: tuple[int, int]  # of the image, upright
    orientation: int
    numbers: np.ndarray  # values that occur, int32
    colours: np.ndarray  # of each of them; empty for a file that has none
    coloured: bool
    lossy: bool
    clear: float  # share of its pixels that are nearly black or white


@dataclass(frozen=True)
class Shape:
    """Width and height of a mask, of its upright image, and the EXIF orientation (1..8) that this is stored in."""

    size: tuple[int, int]
    shown: tuple[int, int]
    orientation: int


def same_shape(name: str, image: ImageSource, mask: ImageSource, limits: Limits) -> Shape:
    """By the headers alone. Raises BadImage where either can't be read, or they are of different shapes."""
    shown, orientation = upright(image, name, limits)
    size = inspect_image(mask, f"the mask of {name}", limits)
    fits = [size, size[::-1]] if orientation >= 5 else [size]
    if not any(abs(shown[0] * side[1] / (shown[1] * side[0]) - 1) <= ASPECT for side in fits):
        raise BadImage(name, f"its mask is of {size_text(size)} pixels, the image of {size_text(shown)}")
    return Shape(size, shown, orientation)


def look_at(name: str, image: ImageSource, mask: ImageSource, limits: Limits) -> Looked:
    """Raises BadImage where either can't be read, or they are of different shapes."""
    shape = same_shape(name, image, mask, limits)
    values = read_values(mask, f"the mask of {name}", limits)
    extreme = (values.pixels <= DARK) | (values.pixels >= LIGHT) if values.lossy else np.ones(1)
    numbers = colours = _occurring(values.pixels)
    if values.palette is not None:
        colours = values.palette[np.clip(numbers, 0, 255)]
    elif not values.coloured:
        colours = np.zeros(0, np.int32)
    return Looked(
        name, image, mask, shape.size, shape.shown, shape.orientation, numbers, colours, values.coloured,
        values.lossy, float(extreme.mean()),
    )  # fmt: skip


def size_text(size: tuple[int, int]) -> str:
    """Width and height in a sentence."""
    return f"{size[0]} x {size[1]}"


def _occurring(values: np.ndarray) -> np.ndarray:
    if values.size and values.min() >= 0 and values.max() < 2**16:
        return np.flatnonzero(np.bincount(values.reshape(-1)))
    return np.unique(values)


def coding_of(
    what: str, masks: list[Looked], table: Table | None, void: list[int] | None
) -> tuple[Coding, list[str], list[str]]:
    """What the values stand for, the classes, and remarks. Raises DataError where they can't be classes.

    `void` are values that someone says are no class; None where nobody says anything.
    """
    asked, void = void is not None, void or []
    coloured, remarks = _are_colours(masks, table)
    counts: Counter[int] = Counter()
    for mask in masks:
        counts.update((_as_colours(mask) if coloured else mask.numbers).tolist())
    halved = _refuse_lossy(what, masks)
    if halved:
        counts = Counter({0: len(masks), 255: len(masks)})
        remarks.append("Masks are JPEGs, whose compression blurs numbers; they are read as black and white.")
    if table is None:
        table, more = _met(what, counts, void, asked, coloured)
        remarks += more
    elif table.coloured != coloured:
        kinds = ("numbers", "colours") if coloured else ("colours", "numbers")
        raise DataError(f"{what}: the table of classes has {kinds[0]}, but the masks hold {kinds[1]}.")
    kept = [(name, value) for name, value in zip(table.names, table.values, strict=True) if value not in void]
    index_of = {value: index for index, (_, value) in enumerate(kept)}
    names = [name for name, _ in kept]
    if not any(value in index_of for value in counts):
        raise DataError(
            f"{what}: no value of the masks is a class ({', '.join(names[:8])}). Is ?classes= the table of these masks?"
        )
    empty = {*table.void, *void, *(() if coloured else (VOID, DEEP_VOID))} - index_of.keys()
    remarks += _said_of_others(counts, index_of, empty, coloured, table.closed)
    return Coding(index_of, coloured, halved), names, remarks


def _said_of_others(
    counts: Counter[int], index_of: dict[int, int], void: set[int], coloured: bool, closed: bool
) -> list[str]:
    """Sentences on values that are no class: those that are void, and those that nothing is known of."""
    if closed:
        return []
    unknown = sorted(value for value in counts if value not in index_of and value not in void)
    sentences = []
    if unknown:
        shown = ", ".join(f"{_shown(value, coloured)} (in {counts[value]} masks)" for value in unknown[:8])
        more = f" and {len(unknown) - 8} more" if len(unknown) > 8 else ""
        sentences.append(f"Unknown values, which are no class of the table and taken for void: {shown}{more}.")
    if there := sorted(value for value in void if value in counts):
        sentences.append(f"Void, neither learned nor scored: {', '.join(_shown(value, coloured) for value in there)}.")
    return sentences


def _refuse_lossy(what: str, masks: list[Looked]) -> bool:
    """Whether JPEG masks are read as black and white. Raises DataError where they can't be."""
    lossy = [mask for mask in masks if mask.lossy]
    if not lossy:
        return False
    worst = min(lossy, key=lambda mask: mask.clear)
    if worst.clear < CLEAR or any(mask.coloured for mask in lossy):
        raise DataError(
            f"{what}: {len(lossy)} masks are JPEGs, such as that of {worst.name}. JPEG changes the numbers of pixels, "
            "so classes can't be told apart. Save masks as PNG."
        )
    return True


def _are_colours(masks: list[Looked], table: Table | None) -> tuple[bool, list[str]]:
    """Whether the values are colours, and a sentence where that had to be found out."""
    if any(mask.coloured for mask in masks) or (table is not None and table.coloured):
        return True, []
    meanings: dict[int, set[int]] = defaultdict(set)
    for mask in masks if table is None else ():
        for number, colour in zip(mask.numbers.tolist(), mask.colours.tolist(), strict=False):
            meanings[number].add(colour)
    if all(len(colours) == 1 for colours in meanings.values()):
        return False, []
    return True, ["Palettes differ between the masks, so their colours are taken for the classes, not their numbers."]


def _as_colours(mask: Looked) -> np.ndarray:
    return mask.colours if len(mask.colours) else mask.numbers * 0x010101


def _met(what: str, counts: Counter[int], void: list[int], asked: bool, coloured: bool) -> tuple[Table, list[str]]:
    """A table of the values that are met, and what to say of it."""
    values = sorted(value for value in counts if value not in void)
    plain = [value for value in values if value not in (VOID, DEEP_VOID)]
    if not coloured and not asked and values in ([0, 255], [0, DEEP_VOID]):
        return Table(("background", "foreground"), tuple(values)), [
            f"Masks hold 0 and {values[1]} alone: background and foreground."
        ]
    kept = values if coloured else plain
    if len(kept) > MOST_CLASSES:
        shown = ", ".join(_shown(value, coloured) for value in kept[:NAMED])
        raise DataError(
            f"{what}: the masks hold {len(kept)} different values ({shown}, ...), more than the {MOST_CLASSES} classes "
            "that are read. Expected a number or colour for each class; numbers of objects and photos are none. "
            "?classes=FILE says which are classes."
        )
    if len(kept) < 2:
        only = _shown(kept[0], coloured) if kept else "void"
        raise DataError(f"{what}: one class only: every pixel of all masks is {only}. At least two are needed.")
    if not coloured and kept == [0, 1]:
        return Table(("background", "foreground"), (0, 1)), []
    sentences = []
    if coloured:
        sentences.append(
            "Each colour is a class, by its code. ?classes=FILE (a line each: name r g b) gives them names."
        )
    elif kept != list(range(len(kept))):
        shown = ", ".join(f"{value} became {index}" for index, value in list(enumerate(kept))[:4])
        sentences.append(f"Values have gaps; classes are numbered in their order: {shown}, ...")
    return table_of([_shown(value, coloured) for value in kept], kept, coloured), sentences


def _shown(value: int, coloured: bool) -> str:
    return f"#{value:06x}" if coloured and 0 <= value < COLOURS else str(value)
