"""`voc:PATH`: Pascal VOC, a folder with Annotations/*.xml, JPEGImages/ and, if there, ImageSets/Main/*.txt."""

from pathlib import Path, PurePath
from xml.etree.ElementTree import Element

from studio.core.errors import DataError
from studio.data.files.annotation_files import Unreadable, read_text, read_xml
from studio.data.files.annotations import Annotated, gather
from studio.data.files.images import SUFFIXES
from studio.data.files.limits import Limits
from studio.data.files.zip_paths import AnyPath, ZipPath, source_of
from studio.data.items import Dataset, Skipped

OPTIONS = {"images": "the folder of the pictures (default: JPEGImages, images, or beside the annotations)"}
SPLITS = ("train", "val", "test")


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Classes are the names met, in order of the alphabet. Raises DataError for a folder without annotations."""
    root = Path(rest).expanduser()
    if not root.is_dir():
        raise DataError(f"There is no folder {root}.")
    return read_from(root, options, limits)


def read_from(root: AnyPath, options: dict[str, str], limits: Limits) -> Dataset:
    """As `read`, from a folder on disk or in a zip."""
    annotations = root / "Annotations" if (root / "Annotations").is_dir() else root
    files = sorted(annotations.glob("*.xml"))
    if not files:
        raise DataError(f"{root} holds no annotations; expected Annotations/*.xml, as Pascal VOC has them.")
    pictures = _pictures(root, options)
    split_of, absent = _splits(root, {file.stem for file in files}, limits)
    missing, found, lone = list(absent), [], dict(pictures)
    for file in files:
        if split_of and file.stem not in split_of:
            lone.pop(file.stem, None)
            continue
        tree = _parse(file, limits, missing)
        if tree is None:
            continue
        picture = pictures.get(PurePath(tree.findtext("filename") or "").stem) or pictures.get(file.stem)
        if picture is None:
            missing.append(Skipped(file.name, "its picture is missing"))
            continue
        lone.pop(picture.stem, None)
        found.append((file, tree, picture))
    names = sorted({_name(thing) for _, tree, _ in found for thing in tree.iter("object")} - {""})
    annotated = [_annotated(file, tree, picture, names, missing, split_of) for file, tree, picture in found]
    remarks = (
        [f"{len(lone)} pictures have no annotation, such as {next(iter(lone))}; they are left out."] if lone else []
    )
    return gather(str(root), names, annotated, missing, remarks, limits)


def _parse(file: AnyPath, limits: Limits, missing: list[Skipped]) -> Element | None:
    try:
        return read_xml(file, limits)
    except (Unreadable, OSError) as error:
        missing.append(Skipped(file.name, error.reason if isinstance(error, Unreadable) else f"no XML ({error})"))
    return None


def _annotated(
    file: AnyPath, tree: Element, picture: AnyPath, names: list[str], missing: list[Skipped], split_of: dict[str, str]
) -> Annotated:
    size = tuple(int(_number(tree.findtext(f"size/{side}"))) for side in ("width", "height"))
    stated = (size[0], size[1]) if min(size) > 0 else None
    out = Annotated(picture.name, source_of(picture), stated=stated, split=split_of.get(file.stem))
    for thing in tree.iter("object"):
        corners = [_number(thing.findtext(f"bndbox/{side}"), float("nan")) for side in ("xmin", "ymin", "xmax", "ymax")]
        if not _name(thing):
            missing.append(Skipped(file.name, "an object has no name"))
            continue
        out.add(
            (corners[0], corners[1], corners[2], corners[3]), names.index(_name(thing)),
            (thing.findtext("difficult") or "0").strip() == "1",
        )  # fmt: skip
    return out


def _pictures(root: AnyPath, options: dict[str, str]) -> dict[str, AnyPath]:
    places = [_inside(root, options["images"])] if "images" in options else [root / "JPEGImages", root / "images", root]
    for place in places:
        found = {path.stem: path for path in sorted(place.glob("*")) if path.suffix.lower() in SUFFIXES}
        if found:
            return found
    raise DataError(f"{root}: no pictures are in {', '.join(map(str, places))}. Name their folder with ?images=FOLDER.")


def _inside(root: AnyPath, folder: str) -> AnyPath:
    """A folder that was named: in the zip, where the set is one."""
    return Path(folder) if isinstance(root, Path) else ZipPath(root.archive, folder)


def _splits(root: AnyPath, stems: set[str], limits: Limits) -> tuple[dict[str, str], list[Skipped]]:
    """The split of each stem by ImageSets/Main; and the names listed there that have no annotation."""
    split_of: dict[str, str] = {}
    absent: list[Skipped] = []
    for split in SPLITS:
        listed = root / "ImageSets" / "Main" / f"{split}.txt"
        for line in read_text(listed, limits).split("\n") if listed.is_file() else ():
            stem = line.split()[0] if line.split() else ""
            if stem in stems:
                split_of.setdefault(stem, split)
            elif stem:
                absent.append(Skipped(stem, f"{split}.txt names it, but it has no annotation"))
    return split_of, absent


def _name(thing: Element) -> str:
    return (thing.findtext("name") or "").strip()


def _number(text: str | None, default: float = 0.0) -> float:
    try:
        return float(text) if text else default
    except ValueError:
        return default
