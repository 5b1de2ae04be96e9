"""`masks:FOLDER`: images and masks of them, paired by name; `masks:FILE.json?images=FOLDER`: COCO's outlines as masks.

    masks:camvid?ignore=11&classes=camvid     images/ and masks/, in train/ and val/ or around them
    masks:VOCdevkit/VOC2012                 JPEGImages, SegmentationClass, ImageSets/Segmentation
    masks:ADEChallengeData2016?ignore=0       images/training, annotations/training; 0 is "other"

A mask stores a number or a colour for each pixel. Which class that is says a table (`?classes=`); without one every
value that is met is a class, 0 and 255 alone are background and foreground, and 255 beside others is void.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from studio.core.errors import DataError
from studio.data.files.annotation_files import read_lines
from studio.data.files.image_finder import walk_files
from studio.data.files.images import BadImage
from studio.data.files.layout import SPLITS
from studio.data.files.limits import Limits
from studio.data.files.no_such import no_such
from studio.data.files.zip_paths import AnyPath, source_of
from studio.data.items import Dataset, Item, Skipped
from studio.data.masks.class_map import MaskSource, Turned
from studio.data.masks.held_out import OPTION, held_out
from studio.data.masks.mask_files import MaskFile
from studio.data.masks.meaning import Looked, coding_of, look_at, size_text
from studio.data.masks.pairs import Pairs, pair
from studio.data.masks.tables import KNOWN, chosen_table
from studio.data.readers import coco

OPTIONS = {
    "classes": f"a file of classes (names, numbers, colours), names joined by +, or one of {', '.join(KNOWN)}",
    "ignore": "values that are no class, joined by +, such as ignore=11 or ignore=0+255",
    "images": "the folder of the images, where it is not found",
    "masks": "the folder of the masks, where it is not found",
    "val": OPTION,
}
EXAMPLE = "Expected images/ and masks/ with files of the same names, such as images/1.jpg and masks/1.png."


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
        for option in ("ignore", "masks", "classes"):
            if option in options:
                raise DataError(f"{path.name}: COCO's outlines have names, so ?{option}= says nothing.")
        others = {name: value for name, value in options.items() if name != "val"}
        return held_out(coco.read_from(path, {**others, "truth": "masks"}, limits), options.get("val"))
    pairs = pair(walk_files(path), options)
    if not pairs.pairs:
        alone = f"{len(pairs.without_mask)} images without a mask, {len(pairs.without_image)} masks without an image"
        raise DataError(f"{path}: no image has a mask ({alone}). {EXAMPLE} ?images=FOLDER&masks=FOLDER name others.")
    split_of, listed = _lists(path, pairs, limits)
    return held_out(_gathered(path, listed, split_of, options, limits), options.get("val"))


def _gathered(
    root: AnyPath, pairs: Pairs, split_of: dict[AnyPath, str | None], options: dict[str, str], limits: Limits
) -> Dataset:
    skipped: list[Skipped] = []
    looked = _look_at_all(root, pairs, limits, skipped)
    if not looked:
        raise DataError(f"{root}: none of its {len(pairs.pairs)} pairs can be used. {_first(skipped)}")
    table, remark = chosen_table(options.get("classes"), root, limits)
    if table is None and _is_voc(pairs) and not any(look.coloured for look in looked.values()):
        table, remark = KNOWN["voc"], "Classes are those of Pascal VOC, as the folder SegmentationClass says."
    coding, classes, remarks = coding_of(str(root), list(looked.values()), table, _ignored(options.get("ignore")))
    out = Dataset("", classes, [], skipped, remarks=([remark] if remark else []) + remarks)
    smaller = []
    for path, look in looked.items():
        if look.size != look.shown and look.size[::-1] != look.shown:
            smaller.append(look)
        mask: MaskSource = MaskFile(look.mask, look.name, coding, limits)
        if look.orientation >= 5 and look.size != look.shown:
            mask = Turned(mask, look.orientation)
        if split_of[path]:
            out.splits.setdefault(str(split_of[path]), []).append(len(out.items))
        out.items.append(Item(look.name, -1, look.image, mask=mask))
    if smaller:
        first = smaller[0]
        out.remarks.append(
            f"{len(smaller)} masks have another size than their image, in the same shape, such as {first.name} "
            f"({size_text(first.size)} for {size_text(first.shown)}); each is scored at its own size."
        )
    _say_alone(out, pairs)
    return out


def _look_at_all(root: AnyPath, pairs: Pairs, limits: Limits, skipped: list[Skipped]) -> dict[AnyPath, Looked]:
    def look(entry: tuple[AnyPath, AnyPath, str | None]) -> Looked | BadImage:
        image, mask, _ = entry
        try:
            return look_at(_below(image, root), source_of(image), source_of(mask), limits)
        except BadImage as error:
            return error

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(look, pairs.pairs))
    out = {}
    for (path, _, _), result in zip(pairs.pairs, results, strict=True):
        if isinstance(result, BadImage):
            skipped.append(Skipped(result.name, result.reason))
        else:
            out[path] = result
    return out


def _is_voc(pairs: Pairs) -> bool:
    return "SegmentationClass" in pairs.pairs[0][1].parts


def _ignored(written: str | None) -> list[int] | None:
    if written is None:
        return None
    parts = written.replace(" ", "+").split("+")
    if not all(part.isascii() and part.isdigit() and len(part) < 9 for part in parts):
        raise DataError(f"ignore={written}: expected whole numbers joined by +, such as ignore=11 or ignore=0+255.")
    return [int(part) for part in parts]


def _lists(root: AnyPath, pairs: Pairs, limits: Limits) -> tuple[dict[AnyPath, str | None], Pairs]:
    """The split of each image by VOC's ImageSets/Segmentation where that is there, and the pairs that it lists."""
    folder = root / "ImageSets" / "Segmentation"
    files = sorted(folder.glob("*.txt")) if folder.is_dir() else []
    by_stem: dict[str, str] = {}
    for file in sorted(files, key=lambda file: file.stem.lower() == "trainval"):  # which the others are parts of
        word = "train" if file.stem.lower() == "trainval" else SPLITS.get(file.stem.lower())
        for line in read_lines(file, limits) if word else ():
            by_stem.setdefault(line.split()[0], str(word))
    if not by_stem:
        return {path: split for path, _, split in pairs.pairs}, pairs
    kept = [entry for entry in pairs.pairs if entry[0].stem in by_stem]
    if not kept:
        raise DataError(f"{root}: ImageSets/Segmentation lists no image that has a mask.")
    listed = Pairs(kept, [path for path in pairs.without_mask if path.stem in by_stem], pairs.without_image)
    return {path: by_stem[path.stem] for path, _, _ in kept}, listed


def _say_alone(out: Dataset, pairs: Pairs) -> None:
    """Names what has no partner: each file among what is left out, and their number in a sentence."""
    kinds = (
        (pairs.without_mask, "it has no mask", "images have no mask"),
        (pairs.without_image, "this mask has no image", "masks have no image"),
        (pairs.unclear, "it could be the mask of several images, or one of several", "masks fit no single image"),
    )
    for paths, reason, problem in kinds:
        out.skipped += [Skipped(path.name, reason) for path in paths]
        if paths:
            out.remarks.append(f"{len(paths)} {problem}, such as {paths[0].name}; they are left out.")


def _below(path: AnyPath, root: AnyPath) -> str:
    return path.relative_to(root).as_posix() if isinstance(path, Path) else str(path.path.relative_to(root.path))


def _first(skipped: list[Skipped]) -> str:
    return "; ".join(f"{skip.name}: {skip.reason}" for skip in skipped[:3]) + "."
