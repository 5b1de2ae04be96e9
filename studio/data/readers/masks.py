"""`masks:FOLDER`: images and masks of them, paired by name; `masks:FILE.json?images=FOLDER`: COCO's outlines as masks.

    masks:camvid?void=11&classes=camvid     images/ and masks/, in train/ and val/ or around them
    masks:VOCdevkit/VOC2012                 JPEGImages, SegmentationClass, ImageSets/Segmentation
    masks:ADEChallengeData2016?void=0       images/training, annotations/training; 0 is "other"

A mask stores a number or a colour for each pixel. Which class that is says a table (`?classes=`); without one every
value that is met is a class, 0 and 255 alone are background and foreground, and 255 beside others is void.
"""

from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from studio.core.errors import DataError
from studio.data.files.annotation_files import read_lines
from studio.data.files.image_finder import walk_files
from studio.data.files.images import BadImage, inspect_image, upright
from studio.data.files.layout import SPLITS
from studio.data.files.limits import Limits
from studio.data.files.no_such import no_such
from studio.data.files.zip_paths import AnyPath, source_of
from studio.data.items import Dataset, ImageSource, Item, Skipped
from studio.data.masks.class_map import MOST_CLASSES, VOID, MaskSource, Turned
from studio.data.masks.mask_files import COLOURS, DARK, LIGHT, Coding, MaskFile, read_values
from studio.data.masks.outlines import Outlined, fault_of
from studio.data.masks.pairs import Pairs, pair
from studio.data.masks.tables import KNOWN, Table, chosen_table, table_of
from studio.data.readers import coco

OPTIONS = {
    "classes": f"a file of classes (names, numbers, colours), names joined by +, or one of {', '.join(KNOWN)}",
    "void": "values that are no class, joined by +, such as void=11 or void=0+255",
    "images": "the folder of the images, where it is not found",
    "masks": "the folder of the masks, where it is not found",
}
EXAMPLE = "Expected images/ and masks/ with files of the same names, such as images/1.jpg and masks/1.png."
ASPECT = 0.02  # by which the shapes of a mask and its image may differ
CLEAR = 0.98  # share of the pixels of a lossy mask that must be nearly black or white
NAMED = 6


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError where no image has a mask, or the masks' values can't be classes."""
    path = Path(rest).expanduser()
    if not path.exists():
        raise no_such(path, "folder")
    return read_from(path, options, limits)


def read_from(path: AnyPath, options: dict[str, str], limits: Limits) -> Dataset:
    """As `read`, from a folder or file on disk or in a zip."""
    if path.is_file():
        if path.suffix.lower() != ".json":
            raise DataError(f"{path.name} is neither a folder nor COCO's JSON. {EXAMPLE}")
        return _outlined(path, options, limits)
    found = pair(walk_files(path), options)
    if not found.pairs:
        alone = f"{len(found.without_mask)} images without a mask, {len(found.without_image)} masks without an image"
        raise DataError(f"{path}: no image has a mask ({alone}). {EXAMPLE} ?images=FOLDER&masks=FOLDER name others.")
    split_of, listed = _lists(path, found, limits)
    return _gathered(path, listed, split_of, options, limits)


@dataclass(frozen=True)
class _Looked:
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


def _gathered(
    root: AnyPath, found: Pairs, split_of: dict[AnyPath, str | None], options: dict[str, str], limits: Limits
) -> Dataset:
    skipped: list[Skipped] = []
    looked = _look_at_all(root, found, limits, skipped)
    if not looked:
        raise DataError(f"{root}: none of its {len(found.pairs)} pairs can be used. {_first(skipped)}")
    table, said = _table(root, found, options, limits)
    void, asked = _void(options.get("void")), "void" in options
    coding, classes, remarks = _coding(str(root), looked, table, void, asked)
    out = Dataset("", classes, [], skipped, remarks=([said] if said else []) + remarks)
    smaller = []
    for path, one in looked.items():
        if one.size != one.shown and one.size[::-1] != one.shown:
            smaller.append(one)
        mask: MaskSource = MaskFile(one.mask, one.name, coding, limits)
        if one.orientation >= 5 and one.size != one.shown:
            mask = Turned(mask, one.orientation)
        if split_of[path]:
            out.splits.setdefault(str(split_of[path]), []).append(len(out.items))
        out.items.append(Item(one.name, -1, one.image, mask=mask))
    if smaller:
        first = smaller[0]
        out.remarks.append(
            f"{len(smaller)} masks have another size than their image, such as {first.name} ({_size(first.size)} for "
            f"{_size(first.shown)}), in the same shape; each is scored at its own size."
        )
    _say_alone(out, found)
    return out


def _look_at_all(root: AnyPath, found: Pairs, limits: Limits, skipped: list[Skipped]) -> dict[AnyPath, _Looked]:
    def look(entry: tuple[AnyPath, AnyPath, str | None]) -> _Looked | BadImage:
        try:
            return _look_at(root, entry[0], entry[1], limits)
        except BadImage as error:
            return error

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(look, found.pairs))
    out = {}
    for (path, _, _), result in zip(found.pairs, results, strict=True):
        if isinstance(result, BadImage):
            skipped.append(Skipped(result.name, result.reason))
        else:
            out[path] = result
    return out


def _look_at(root: AnyPath, image: AnyPath, mask: AnyPath, limits: Limits) -> _Looked:
    name = _below(image, root)
    shown, orientation = upright(source_of(image), name, limits)
    inspect_image(source_of(mask), f"the mask of {name}", limits)
    values = read_values(source_of(mask), f"the mask of {name}", limits)
    size = values.pixels.shape[1], values.pixels.shape[0]
    fits = [size, size[::-1]] if orientation >= 5 else [size]
    if not any(abs(shown[0] * side[1] / (shown[1] * side[0]) - 1) <= ASPECT for side in fits):
        raise BadImage(name, f"its mask is of {_size(size)} pixels, the image of {_size(shown)}")
    extreme = (values.pixels <= DARK) | (values.pixels >= LIGHT) if values.lossy else np.ones(1)
    numbers = colours = _occurring(values.pixels)
    if values.palette is not None:
        colours = values.palette[np.clip(numbers, 0, 255)]
    elif not values.coloured:
        colours = np.zeros(0, np.int32)
    return _Looked(
        name, source_of(image), source_of(mask), size, shown, orientation, numbers, colours, values.coloured,
        values.lossy, float(extreme.mean()),
    )  # fmt: skip


def _occurring(values: np.ndarray) -> np.ndarray:
    if values.size and values.min() >= 0 and values.max() < 2**16:
        return np.flatnonzero(np.bincount(values.reshape(-1)))
    return np.unique(values)


def _table(root: AnyPath, found: Pairs, options: dict[str, str], limits: Limits) -> tuple[Table | None, str]:
    table, said = chosen_table(options.get("classes"), root, limits)
    if table is None and any(part == "SegmentationClass" for part in found.pairs[0][1].parts):
        return KNOWN["voc"], "Classes are those of Pascal VOC, as the folder SegmentationClass says."
    return table, said


def _void(written: str | None) -> list[int]:
    if written is None:
        return []
    parts = written.replace(" ", "+").split("+")
    if not all(part.isascii() and part.isdigit() and len(part) < 9 for part in parts):
        raise DataError(f"void={written}: expected whole numbers joined by +, such as void=11 or void=0+255.")
    return [int(part) for part in parts]


def _coding(
    what: str, looked: dict[AnyPath, _Looked], table: Table | None, void: list[int], asked: bool
) -> tuple[Coding, list[str], list[str]]:
    """What the values stand for, the classes, and remarks. Raises DataError where they can't be classes."""
    masks = list(looked.values())
    coloured, said = _are_colours(masks, table)
    counts: Counter[int] = Counter()
    for one in masks:
        counts.update((_as_colours(one) if coloured else one.numbers).tolist())
    halved = _refuse_lossy(what, masks)
    if halved:
        counts = Counter({0: len(masks), 255: len(masks)})
        said.append("Masks are JPEGs, whose compression blurs numbers; they are read as black and white.")
    if table is None:
        table, more = _met(what, counts, void, asked, coloured)
        said += more
    elif table.coloured != coloured:
        kinds = ("numbers", "colours") if coloured else ("colours", "numbers")
        raise DataError(f"{what}: the table of classes has {kinds[0]}, but the masks hold {kinds[1]}.")
    kept = [(name, value) for name, value in zip(table.names, table.values, strict=True) if value not in void]
    place = {value: index for index, (_, value) in enumerate(kept)}
    names = [name for name, _ in kept]
    if not any(value in place for value in counts):
        raise DataError(
            f"{what}: no value of the masks is a class ({', '.join(names[:8])}). Is ?classes= the table of these masks?"
        )
    empty = {*table.void, *void, *(() if coloured else (VOID, 65535))} - place.keys()
    return Coding(place, coloured, halved), names, said + _said_of_others(counts, place, empty, coloured, table.closed)


def _said_of_others(
    counts: Counter[int], place: dict[int, int], void: set[int], coloured: bool, closed: bool
) -> list[str]:
    """Sentences on values that are no class: those that are void, and those that nothing is known of."""
    if closed:
        return []
    unknown = sorted(value for value in counts if value not in place and value not in void)
    said = []
    if unknown:
        shown = ", ".join(f"{_shown(value, coloured)} (in {counts[value]} masks)" for value in unknown[:8])
        more = f" and {len(unknown) - 8} more" if len(unknown) > 8 else ""
        said.append(f"Unknown values, which are no class of the table and taken for void: {shown}{more}.")
    if there := sorted(value for value in void if value in counts):
        said.append(f"Void, neither learned nor scored: {', '.join(_shown(value, coloured) for value in there)}.")
    return said


def _refuse_lossy(what: str, masks: list[_Looked]) -> bool:
    """Whether JPEG masks are read as black and white. Raises DataError where they can't be."""
    lossy = [one for one in masks if one.lossy]
    if not lossy:
        return False
    worst = min(lossy, key=lambda one: one.clear)
    if worst.clear < CLEAR or any(one.coloured for one in lossy):
        raise DataError(
            f"{what}: {len(lossy)} masks are JPEGs, such as that of {worst.name}. JPEG changes the numbers of pixels, "
            "so classes can't be told apart. Save masks as PNG."
        )
    return True


def _are_colours(masks: list[_Looked], table: Table | None) -> tuple[bool, list[str]]:
    """Whether the values are colours, and a sentence where that had to be found out."""
    if any(one.coloured for one in masks) or (table is not None and table.coloured):
        return True, []
    meanings: dict[int, set[int]] = defaultdict(set)
    for one in masks if table is None else ():
        for number, colour in zip(one.numbers.tolist(), one.colours.tolist(), strict=False):
            meanings[number].add(colour)
    if all(len(colours) == 1 for colours in meanings.values()):
        return False, []
    return True, ["Palettes differ between the masks, so their colours are taken for the classes, not their numbers."]


def _as_colours(one: _Looked) -> np.ndarray:
    return one.colours if len(one.colours) else one.numbers * 0x010101


def _met(what: str, counts: Counter[int], void: list[int], asked: bool, coloured: bool) -> tuple[Table, list[str]]:
    """A table of the values that are met, and what to say of it."""
    values = sorted(value for value in counts if value not in void)
    plain = [value for value in values if value not in (VOID, 65535)]
    if not coloured and not asked and values in ([0, 255], [0, 65535]):
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
    said = []
    if coloured:
        said.append("Each colour is a class, by its code. ?classes=FILE (a line each: name r g b) gives them names.")
    elif kept != list(range(len(kept))):
        shown = ", ".join(f"{value} became {place}" for place, value in list(enumerate(kept))[:4])
        said.append(f"Values have gaps; classes are numbered in their order: {shown}, ...")
    return table_of([_shown(value, coloured) for value in kept], kept, coloured), said


def _shown(value: int, coloured: bool) -> str:
    return f"#{value:06x}" if coloured and 0 <= value < COLOURS else str(value)


def _lists(root: AnyPath, found: Pairs, limits: Limits) -> tuple[dict[AnyPath, str | None], Pairs]:
    """The split of each image by VOC's ImageSets/Segmentation where that is there, and the pairs that it lists."""
    folder = root / "ImageSets" / "Segmentation"
    files = sorted(folder.glob("*.txt")) if folder.is_dir() else []
    by_stem: dict[str, str] = {}
    for file in sorted(files, key=lambda file: file.stem.lower() == "trainval"):  # which the others are parts of
        word = "train" if file.stem.lower() == "trainval" else SPLITS.get(file.stem.lower())
        for line in read_lines(file, limits) if word else ():
            by_stem.setdefault(line.split()[0], str(word))
    if not by_stem:
        return {path: split for path, _, split in found.pairs}, found
    kept = [entry for entry in found.pairs if entry[0].stem in by_stem]
    if not kept:
        raise DataError(f"{root}: ImageSets/Segmentation lists no image that has a mask.")
    listed = Pairs(kept, [path for path in found.without_mask if path.stem in by_stem], found.without_image)
    return {path: by_stem[path.stem] for path, _, _ in kept}, listed


def _outlined(path: AnyPath, options: dict[str, str], limits: Limits) -> Dataset:
    """COCO's outlines as class maps over a class background."""
    for option in ("void", "masks", "classes"):
        if option in options:
            raise DataError(f"{path.name}: COCO's outlines have names, so ?{option}= says nothing.")
    names, entries, missing, remarks = coco.read_outlines(path, options, limits)
    if len(names) >= MOST_CLASSES:
        raise DataError(f"{path.name}: {len(names)} categories; {MOST_CLASSES - 1} are read as masks.")
    out = Dataset("", ["background", *names], [], missing, remarks=remarks)
    drawn = 0
    for image, shapes in entries:
        try:
            shown, orientation = upright(image.source, image.name, limits)
        except BadImage as error:
            out.skipped.append(Skipped(image.name, error.reason))
            continue
        size = shown[::-1] if orientation >= 5 else shown
        faults = [(place, fault_of(shape, size)) for place, (_, shape) in enumerate(shapes)]
        out.skipped += [Skipped(f"{image.name}, outline {place + 1}", said) for place, said in faults if said]
        good = tuple((shapes[place][0] + 1, shapes[place][1]) for place, said in faults if not said)
        drawn += len(good)
        mask: MaskSource = Outlined(size, good)
        out.items.append(
            Item(image.name, -1, image.source, mask=Turned(mask, orientation) if orientation > 1 else mask)
        )
    if not out.items or not drawn:
        raise DataError(f"{path.name}: no outline of any image can be drawn. {_first(out.skipped)}")
    return out


def _say_alone(out: Dataset, found: Pairs) -> None:
    """Names what has no partner: each file among what is left out, and their number in a sentence."""
    kinds = (
        (found.without_mask, "it has no mask", "images have no mask"),
        (found.without_image, "this mask has no image", "masks have no image"),
        (found.unclear, "it could be the mask of several images, or one of several", "masks fit no single image"),
    )
    for paths, reason, what in kinds:
        out.skipped += [Skipped(path.name, reason) for path in paths]
        if paths:
            out.remarks.append(f"{len(paths)} {what}, such as {paths[0].name}; they are left out.")


def _below(path: AnyPath, root: AnyPath) -> str:
    return path.relative_to(root).as_posix() if isinstance(path, Path) else str(path.path.relative_to(root.path))


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _first(skipped: list[Skipped]) -> str:
    return "; ".join(f"{skip.name}: {skip.reason}" for skip in skipped[:3]) + "."
