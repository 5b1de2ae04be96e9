"""`voc:PATH`: Pascal VOC, a folder with Annotations/*.xml, JPEGImages/ and, if there, ImageSets/Main/*.txt.

Turned boxes (roLabelImg) and polygons have the upright box around them. torchvision and supervision read VOC too
(BSD, MIT): both go by one name alone, take no other encoding, outline or list than VOC's own, and stop at the first
fault; nothing of them is used.
"""

from collections import Counter, defaultdict
from pathlib import Path, PurePosixPath
from unicodedata import normalize
from xml.etree.ElementTree import Element

from studio.core.errors import DataError
from studio.data.files.annotation_files import Unreadable, read_lines, read_xml
from studio.data.files.annotations import Annotated, class_name, counted, gather
from studio.data.files.box_numbers import OPTIONS as NUMBERS
from studio.data.files.box_numbers import Four, Numbers, around, as_four, as_number, as_size, rotated, truth
from studio.data.files.image_finder import Found, ImageFinder, beside, own_or_named
from studio.data.files.images import SUFFIXES
from studio.data.files.layout import SPLITS
from studio.data.files.limits import Limits
from studio.data.files.no_such import no_such
from studio.data.files.zip_paths import AnyPath, ZipPath, source_of
from studio.data.items import Dataset, Skipped
from studio.data.masks.drawn import wants_masks
from studio.data.masks.published import say_counts
from studio.data.readers import cvat, masks

OPTIONS = {
    "images": "the folder of the images (default: JPEGImages, images, or beside the annotations)",
    **NUMBERS,
    "truth": "masks: SegmentationClass, to segment; boxes, to detect, otherwise",
    "difficult": "learn: objects that are marked difficult are learned like the others",
}
#: images with masks, by split, of the sets as they were published
PUBLISHED = {"VOC2007": {"train": 209, "val": 213, "test": 210}, "VOC2012": {"train": 1464, "val": 1449}}
INSTRUCTIONS = (
    "Pascal VOC comes from host.robots.ox.ac.uk/pascal/VOC (2012: VOCtrainval_11-May-2012.tar, 2 GB), which unpacks to "
    "VOCdevkit/VOC2012 with JPEGImages, Annotations, SegmentationClass and ImageSets."
)
NOT_SHAPES = {"name", "pose", "truncated", "difficult", "occluded", "type", "part", "deleted", "verified", "attributes"}


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Classes are the names met, in order of the alphabet. Raises DataError for a folder without annotations."""
    root = Path(rest).expanduser()
    if not root.is_dir():
        raise DataError(
            f"{no_such(root, 'folder')} {INSTRUCTIONS}" if root.name in PUBLISHED else no_such(root, "folder")
        )
    return read_from(root, options, limits)


def read_from(root: AnyPath, options: dict[str, str], limits: Limits) -> Dataset:
    """As `read`, from a folder on disk or in a zip."""
    if wants_masks(options):
        return _with_masks(root, options, limits)
    inner = root / "Annotations"
    files = sorted(file for file in (inner.rglob("*") if inner.is_dir() else root.glob("*")) if _is_xml(file))
    if not files:
        raise DataError(f"{root} holds no annotations; expected Annotations/*.xml, as Pascal VOC has them.")
    numbers = Numbers("xyxy").given(options, str(root))
    if options.get("difficult") not in (None, "learn", "ignore"):
        raise DataError(f"{root}: difficult={options['difficult']}; expected learn or ignore.")
    missing: list[Skipped] = []
    split_of = _splits(root, files, missing, limits)
    listed = [file for file in files if not split_of or file in split_of]
    trees = {file: tree for file in listed if (tree := _parse(file, limits, missing)) is not None}
    if len(trees) == 1 and next(iter(trees.values())).tag == "annotations":
        return cvat.read_from(next(iter(trees)), {k: v for k, v in options.items() if k in cvat.OPTIONS}, limits)
    finder = ImageFinder(_folders(root, options))
    images, remarks = _images(trees, inner if inner.is_dir() else root, finder, missing)
    remarks += counted(
        len(files) - len(listed), "annotations are in none of the lists of ImageSets; they are left out."
    )
    names = sorted({_name(thing) for file in images for thing in trees[file].iter("object")} - {""})
    counts: Counter[str] = Counter()
    learn = options.get("difficult") == "learn"
    annotated = [
        _annotated(file, trees[file], image, names, learn, missing, split_of.get(file), counts)
        for file, image in images.items()
    ]
    lone = [path for path in finder.files() if path not in set(images.values())]
    lone = [path for path in lone if path.stem not in {file.stem for file in files if file not in trees}]
    if lone:
        remarks.append(f"{len(lone)} images have no annotation, such as {lone[0].stem}; they are left out.")
    remarks += _said(counts)
    return gather(str(root), names, annotated, missing, remarks, limits, numbers, f"Write voc:{root}?")


def _with_masks(root: AnyPath, options: dict[str, str], limits: Limits) -> Dataset:
    """The images that have a mask in SegmentationClass."""
    if others := sorted(options.keys() - {"truth"}):
        raise DataError(f"{root}: with truth=masks, ?{others[0]}= says nothing.")
    out = masks.read_from(root, {}, limits)
    there = Counter({split: len(members) for split, members in out.splits.items()})
    expected = PUBLISHED.get(root.name)
    out.remarks += say_counts(f"Pascal {root.name}, masks", expected, there) if expected else []
    return out


def _is_xml(file: AnyPath) -> bool:
    return file.suffix.lower() == ".xml" and not file.name.startswith(".")


def _parse(file: AnyPath, limits: Limits, missing: list[Skipped]) -> Element | None:
    try:
        return read_xml(file, limits)
    except (Unreadable, OSError) as error:
        missing.append(Skipped(file.name, error.reason if isinstance(error, Unreadable) else f"no XML ({error})"))
    return None


def _folders(root: AnyPath, options: dict[str, str]) -> list[AnyPath]:
    """The folder of the images: the one that is named, else the first of the usual ones that has any."""
    if "images" in options:
        named = Path(options["images"]) if isinstance(root, Path) else ZipPath(root.archive, options["images"])
        places = [named]
    else:
        places = [root / "JPEGImages", root / "images", root]
    for folder in places:
        if folder.is_dir() and any(file.suffix.lower() in SUFFIXES for file in folder.rglob("*")):
            return [folder]
    raise DataError(f"{root}: no images are in {', '.join(map(str, places))}. Name their folder with ?images=FOLDER.")


def _images(
    trees: dict[AnyPath, Element], top: AnyPath, finder: ImageFinder, missing: list[Skipped]
) -> tuple[dict[AnyPath, AnyPath], list[str]]:
    """The image of each annotation. One that several claim is that of the annotation with its name, or nobody's."""
    own = beside(finder.files())
    image_of: dict[AnyPath, Found] = {}
    claims: dict[AnyPath, list[AnyPath]] = defaultdict(list)
    for file, tree in trees.items():
        named = (tree.findtext("filename") or "").strip()
        image = _within(file, top, finder, named) or own_or_named(finder, file, named, own)
        if image.path is None:
            missing.append(Skipped(file.name, _lost(image.reason)))
        else:
            image_of[file] = image
            claims[image.path].append(file)
    for path, files in claims.items():
        theirs = [file for file in files if file.stem == path.stem]
        for file in files if len(files) > 1 else ():
            if theirs != [file]:
                missing.append(Skipped(file.name, f"its image, {path.name}, is that of another annotation too"))
                del image_of[file]
    renamed = [file for file, image in image_of.items() if image.respelled and file.stem == image.path.stem]
    clashes = [file.stem for file in image_of if len(own.get(normalize("NFC", file.stem), [])) > 1]
    remarks = []
    if renamed:
        remarks.append(
            f"{len(renamed)} annotations name another image inside, such as {renamed[0].name}; the image with "
            "their own name was taken."
        )
    if clashes:
        remarks.append(f"{len(clashes)} names are those of two images, such as {clashes[0]}; <filename> decided.")
    return {file: image.path for file, image in image_of.items() if image.path is not None}, remarks


def _within(file: AnyPath, top: AnyPath, finder: ImageFinder, named: str) -> Found | None:
    """The image at the same place below its folder as the annotation below its own, where both have sub-folders."""
    if file.parent == top:
        return None
    below = PurePosixPath(*file.parent.parts[len(top.parts) :])
    for name in (named, file.stem):
        image = finder.find(str(below / name)) if name else Found(None)
        if image.path is not None and image.path.stem == file.stem:
            return image
    return None


def _lost(reason: str) -> str:
    return reason.replace("the image is missing", "its image is missing")


def _annotated(
    file: AnyPath, tree: Element, image: AnyPath, names: list[str], learn_difficult: bool, missing: list[Skipped],
    split: str | None, counts: Counter[str],
) -> Annotated:  # fmt: skip
    stated = as_size(tree.findtext("size/width"), tree.findtext("size/height"))
    out = Annotated(image.name, source_of(image), stated=stated, split=split)
    for thing in tree.iter("object"):
        if not _name(thing):
            missing.append(Skipped(file.name, "an object has no name"))
            continue
        row, shape = _shape(thing)
        if row is None:
            missing.append(Skipped(file.name, f"an object has no bndbox (found {shape})"))
            continue
        try:
            difficult = truth(thing.findtext("difficult"))
        except ValueError:
            difficult = False
            counts["unsaid"] += 1
        counts["all"] += 1
        counts["difficult"] += difficult and not learn_difficult
        counts["around"] += shape != "bndbox"
        meaning = None if shape == "bndbox" else Numbers("xyxy", asked=True)
        out.add(row, names.index(_name(thing)), difficult and not learn_difficult, meaning)
    return out


def _shape(thing: Element) -> tuple[Four | None, str]:
    """Corners of an object, and what they were made of; None where it has no shape that is known."""
    if thing.find("bndbox") is not None:
        return as_four([thing.findtext(f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")]), "bndbox"
    if thing.find("robndbox") is not None:
        cx, cy, w, h, angle = (as_number(thing.findtext(f"robndbox/{key}")) for key in ("cx", "cy", "w", "h", "angle"))
        return rotated(cx, cy, w, h, angle), "robndbox"
    polygon = thing.find("polygon")
    if polygon is not None:
        points = [(point.findtext("x"), point.findtext("y")) for point in polygon.iter("pt")]
        flat = {child.tag: child.text for child in polygon}
        for number in range(1, len(flat)):
            if f"x{number}" in flat and f"y{number}" in flat:
                points.append((flat[f"x{number}"], flat[f"y{number}"]))
        return around(points), "polygon"
    tags = sorted({child.tag for child in thing} - NOT_SHAPES)
    return None, ", ".join(tags[:4]) or "nothing"


def _splits(root: AnyPath, files: list[AnyPath], missing: list[Skipped], limits: Limits) -> dict[AnyPath, str]:
    """The split of each annotation by ImageSets/Main; names listed there that have no annotation become missing.

    trainval is train, as far as no other list says otherwise.
    """
    by_stem = {normalize("NFC", file.stem): file for file in reversed(files)}
    lists: dict[str, list[AnyPath]] = defaultdict(list)
    for folder in (root / "ImageSets" / "Main", root / "ImageSets"):
        for file in sorted(folder.glob("*.txt")) if folder.is_dir() and not lists else ():
            word = file.stem.lower()
            if word in SPLITS or word == "trainval":
                lists["trainval" if word == "trainval" else SPLITS[word]].append(file)
    split_of: dict[AnyPath, str] = {}
    twice = 0
    for split in ("train", "val", "test", "trainval"):
        for listed in lists.get(split, ()):
            for line in read_lines(listed, limits):
                file = _listed(line, by_stem)
                if file is None:
                    missing.append(Skipped(line[:80], f"{listed.name} names it, but it has no annotation"))
                elif split == "trainval":
                    split_of.setdefault(file, "train")
                elif split_of.setdefault(file, split) != split:
                    twice += 1
                    missing.append(Skipped(line[:80], f"{listed.name} names it, but it is in {split_of[file]} already"))
    return split_of


def _listed(line: str, by_stem: dict[str, AnyPath]) -> AnyPath | None:
    """The annotation that a line means: all of it, with or without folder and suffix, or its first word."""
    line = normalize("NFC", line)
    words = [line, line.split()[0]] + ([line.rsplit(maxsplit=1)[0]] if line.split()[1:] else [])
    for word in words:
        name = word.replace("\\", "/").rpartition("/")[2]
        for stem in (name, PurePosixPath(name).stem):
            if stem in by_stem:
                return by_stem[stem]
    return None


def _said(counts: Counter[str]) -> list[str]:
    sentences = counted(
        counts["around"], "objects are turned boxes or outlines; the upright box around each was taken."
    )
    sentences += counted(counts["unsaid"], "objects have a <difficult> that is neither 0 nor 1; they are learned.")
    if counts["all"] and counts["difficult"] == counts["all"]:
        sentences.append(
            f"All {counts['all']} boxes are marked difficult, so none is learned; ?difficult=learn takes them as they "
            "are."
        )
    return sentences


def _name(thing: Element) -> str:
    return class_name(thing.findtext("name") or "")
