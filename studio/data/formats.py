"""Which annotations a folder or a zip holds, so that people can drop what their tool exported as it is."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from studio.core.errors import DataError
from studio.core.texts import TextError, TooMuch
from studio.data.files.annotation_files import (
    Unreadable,
    decoded,
    read_bytes,
    read_json,
    read_lines,
    read_text,
    read_yaml,
)
from studio.data.files.annotations import join_splits
from studio.data.files.image_finder import walk_files
from studio.data.files.images import SUFFIXES
from studio.data.files.layout import SPLITS
from studio.data.files.limits import Limits
from studio.data.files.zip_paths import AnyPath
from studio.data.items import Dataset
from studio.data.masks.pairs import has_pairs
from studio.data.readers import coco, csv, cvat, labelme, labelstudio, masks, via, voc, yolo
from studio.data.readers import list as list_reader

OPTIONS = {
    "annotations": "the file or folder of annotations, where several are there; none reads class folders",
    **masks.OPTIONS, **via.OPTIONS, **csv.OPTIONS, **voc.OPTIONS, **coco.OPTIONS, **yolo.OPTIONS,
    "images": "the folder of the images, where it is not found beside the annotations",
}  # fmt: skip
READERS = {
    "coco": coco, "csv": csv, "cvat": cvat, "labelme": labelme, "labelstudio": labelstudio, "list": list_reader,
    "masks": masks, "via": via, "voc": voc, "yolo": yolo,
}  # fmt: skip
MANY = 20  # JSONs of a folder beyond which they are one for each image; three tell what they are
#: folders that say nothing of a class
NO_CLASS = {"images", "jpegimages", "image", "img", "imgs", "data", "photos", "obj_train_data", "obj_valid_data"}


@dataclass(frozen=True)
class Annotations:
    """One set of annotations: its format (a reader's name), and its file or folder."""

    kind: str
    path: AnyPath

    @property
    def split(self) -> str | None:
        """The split that its folder is named after (Roboflow writes a set for each of train, valid and test), or its
        table: train_labels.csv, test.csv."""
        folder = self.path.parent if self.path.suffix.lower() in (".json", ".csv", ".xml") else self.path
        words = re.split(r"[\W_]+", self.path.stem.lower()) if self.kind in ("csv", "list") else []
        named = {SPLITS[word] for word in words if word in SPLITS}
        return SPLITS.get(folder.name.lower()) or (named.pop() if len(named) == 1 else None)


def read_annotated(
    root: AnyPath,
    what: str,
    scheme: str,
    options: dict[str, str],
    limits: Limits,
    classes_first: bool = False,
    files: list[tuple[AnyPath, str]] | None = None,
) -> Dataset | str | None:
    """The annotated images below `root`; None where there are no annotations (or ?annotations=none is said).

    Sets in folders, or files, named after splits are joined to one. Where the images lie in class folders too,
    `classes_first` leaves it at a sentence on what was found; so does a table of classes, always. `files` are those of
    `walk_files`, where they are known. Raises DataError where several sets are there and none is named.
    """
    wanted = options.get("annotations")
    if wanted == "none":
        return None
    files = list(walk_files(root)) if files is None else files
    sets = find(root, files, limits)
    if wanted is not None:
        names = {str(_relative(entry.path, root)): entry for entry in sets}
        if wanted.strip("/") not in names:
            known = ", ".join(list(names)[:6]) or "none"
            raise DataError(f"{what} has no annotations {wanted!r}; it has: {known}.")
        sets = [names[wanted.strip("/")]]
    elif sets and (classes_first or sets[0].kind == "list") and _class_folders(files):
        name = _relative(sets[0].path, root)
        gives = {"list": "its classes", "masks": "masks"}.get(sets[0].kind, "boxes")
        return f"Annotations are there too ({name}); for {gives} write {scheme}:{what}?annotations={name}"
    if not sets:
        return None
    splits = [entry.split for entry in sets]
    if len(sets) > 1 and all(splits) and len({entry.kind for entry in sets}) == 1:
        return join_splits([(str(entry.split), _read(entry, options, limits)) for entry in sets])
    if len(sets) > 1:
        names = [str(_relative(entry.path, root)) for entry in sets]
        raise DataError(
            f"{what} holds several sets of annotations: {', '.join(names[:6])}. "
            f"Name one: {scheme}:{what}?annotations={names[0]}"
        )
    return _read(sets[0], options, limits)


def find(root: AnyPath, files: Iterable[tuple[AnyPath, str]], limits: Limits) -> list[Annotations]:
    """All sets of annotations among `files`, in the order of their names."""
    by_suffix: dict[str, list[AnyPath]] = defaultdict(list)
    for path, _ in files:
        by_suffix[path.suffix.lower()].append(path)
    sets = [Annotations("voc", folder) for folder in _voc_folders(root, by_suffix[".xml"])]
    sets += [Annotations("cvat", path) for path in by_suffix[".xml"] if _starts(path, "<annotations")]
    sets += _of_json(by_suffix[".json"], root, limits)
    sets += [Annotations("csv", path) for path in by_suffix[".csv"] if csv.has_boxes(path, limits)]
    yamls = by_suffix[".yaml"] + by_suffix[".yml"]
    as_text = partial(read_yaml, as_text=True)
    described = [path for path in yamls if yolo.is_yolo(_content(path, as_text, limits))]
    described += [path for path in by_suffix[".data"] if _is_darknet(path, limits)]
    sets += [Annotations("yolo", path) for path in described]
    if not sets:
        sets = [Annotations("yolo", folder) for folder in _yolo_folders(root, by_suffix, limits)]
    if not sets and has_pairs(files):
        sets = [Annotations("masks", root)]
    if not sets:
        sets = [Annotations("list", path) for path in by_suffix[".csv"] if list_reader.has_classes(path, limits)]
    return sets


def _read(source: Annotations, options: dict[str, str], limits: Limits) -> Dataset:
    reader = READERS[source.kind]
    given = {key: value for key, value in options.items() if key != "annotations"}
    unknown = sorted(given.keys() - reader.OPTIONS.keys())
    if unknown:
        raise DataError(f"{source.path}: these annotations are {source.kind}:, to which ?{unknown[0]}= says nothing.")
    return reader.read_from(source.path, given, limits)


def _relative(path: AnyPath, root: AnyPath) -> PurePosixPath:
    return PurePosixPath(path.relative_to(root)) if isinstance(path, Path) else path.path


def _class_folders(files: Iterable[tuple[AnyPath, str]]) -> bool:
    """Whether images lie in two or more folders whose names could be classes."""
    names = set()
    for _, below in files:
        path = PurePosixPath(below)
        if path.suffix.lower() in SUFFIXES and len(path.parts) > 1:
            names.add(path.parts[-2].lower())
    return len(names - NO_CLASS - SPLITS.keys()) > 1


def _voc_folders(root: AnyPath, xmls: list[AnyPath]) -> list[AnyPath]:
    """Folders of VOC's XMLs: that above Annotations, else the one they are in."""
    by_folder: dict[AnyPath, list[AnyPath]] = defaultdict(list)
    for path in xmls:
        by_folder[path.parent].append(path)
    out = []
    for folder, paths in by_folder.items():
        if any(_starts(path, "<annotation") and not _starts(path, "<annotations") for path in paths[:3]):
            while folder != root and folder.name != "Annotations" and "Annotations" in folder.parts:
                folder = folder.parent
            out.append(folder.parent if folder.name == "Annotations" else folder)
    return list(dict.fromkeys(out))


def _starts(path: AnyPath, tag: str) -> bool:
    """Whether a tag is at the beginning of an XML. Its content is judged when it is read."""
    try:
        if isinstance(path, Path):
            with open(path, "rb") as file:
                start = file.read(4096)
        else:
            start = path.archive.read(str(path.path), 4096)
        return tag in decoded(start[: len(start) // 4 * 4], "latin-1")
    except (OSError, UnicodeDecodeError):
        return False


def _of_json(paths: list[AnyPath], root: AnyPath, limits: Limits) -> list[Annotations]:
    by_folder: dict[AnyPath, list[AnyPath]] = defaultdict(list)
    for path in paths:
        by_folder[path.parent].append(path)
    sets, single = [], []
    for folder, files in by_folder.items():
        for path in files if len(files) <= MANY else files[:3]:
            kind = _kind_of_json(path, limits)
            if kind == "labelme":
                single.append(folder)
                break
            if kind is not None:
                sets.append(Annotations(kind, path))
    return sets + [Annotations("labelme", folder) for folder in _tops(single, root)]


def _tops(folders: list[AnyPath], root: AnyPath) -> list[AnyPath]:
    """The folder that holds all of these; each alone is part of one set."""
    if len(folders) < 2:
        return folders
    top = folders[0]
    while top != root and not all(top == folder or str(folder).startswith(f"{top}/") for folder in folders):
        top = top.parent
    return [top]


def _kind_of_json(path: AnyPath, limits: Limits) -> str | None:
    text = _content(path, read_text, limits)
    if not isinstance(text, str):
        return None
    likely = {
        "coco": ('"images"', '"annotations"'),
        "labelme": ('"shapes"', '"imagePath"'),
        "via": ('"regions"', '"filename"'),
        "labelstudio": ('labels"',),
    }
    kinds = [kind for kind, words in likely.items() if all(word in text for word in words)]
    if not kinds:
        return None
    content = _content(path, read_json, limits)
    tests = {
        "coco": isinstance(content, dict) and {"images", "annotations"} <= content.keys(),
        "labelme": labelme.is_labelme(content), "via": via.is_via(content),
        "labelstudio": labelstudio.is_labelstudio(content),
    }  # fmt: skip
    return next((kind for kind in kinds if tests[kind]), None)


def _is_darknet(path: AnyPath, limits: Limits) -> bool:
    try:
        keys = {line.partition("=")[0].strip() for line in read_lines(path, limits)}
    except (Unreadable, OSError):
        return False
    return "names" in keys


def _yolo_folders(root: AnyPath, by_suffix: dict[str, list[AnyPath]], limits: Limits) -> list[AnyPath]:
    """Folders with YOLO's texts and no YAML: by their file of names, or by a folder labels beside images."""
    texts = by_suffix[".txt"]
    lines = [path for path in texts if path.name.lower() not in yolo.LISTS][:20]
    if not any(_is_line(path, limits) for path in lines):
        return []
    named = [
        path
        for path in [*texts, *by_suffix[".names"], *by_suffix[".json"]]
        if path.name.lower() in yolo.NAMES or path.suffix == ".names"
    ]
    in_labels = [path.parent.name.lower() == "labels" for path in named]
    folders = [path.parent.parent if inner else path.parent for path, inner in zip(named, in_labels, strict=True)]
    if not folders:
        images = {path.parent for suffix in SUFFIXES for path in by_suffix[suffix]}
        if any("labels" in path.parts for path in lines) or any(path.parent in images for path in lines):
            folders = [root]  # its reader says that the names are lacking
    return list(dict.fromkeys(folders))[:1]


def _is_line(path: AnyPath, limits: Limits) -> bool:
    """Whether a text begins with numbers in 0..1 behind a class."""
    try:
        line = read_bytes(path, limits)[:400].decode("utf-8", "replace").partition("\n")[0].split()
        return len(line) >= 5 and all(-1 <= float(word) <= 2 for word in line[1:])
    except (OSError, ValueError, DataError):
        return False


def _content(path: AnyPath, read: Any, limits: Limits) -> Any:
    """What a file says; None where it is not of its format. One that is too large is refused by name."""
    try:
        return read(path, limits)
    except (OSError, UnicodeDecodeError):
        return None
    except Unreadable as error:
        if isinstance(error.__cause__, TextError | UnicodeDecodeError) and not isinstance(error.__cause__, TooMuch):
            return None
        raise
