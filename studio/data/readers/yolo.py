"""`yolo:DATA.yaml`, `yolo:FOLDER`, `yolo:obj.data`: YOLO's texts with a line `class x y width height` a box.

A YAML as ultralytics and Roboflow write it; a folder with `classes.txt` (Label Studio) or `obj.names` (CVAT, darknet)
instead of a YAML; darknet's `.data` with its lists. What lines hold beside the box: `studio.data.files.yolo_lines`.
ultralytics itself is AGPL; supervision (MIT) wants folders of one fixed form, and takes a sixth number for a corner of
an outline; pylabel (MIT) is no longer kept. So this is read here.
"""

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from unicodedata import normalize

from studio.core.errors import DataError
from studio.data.files.annotation_files import Unreadable, read_json, read_lines, read_yaml
from studio.data.files.annotations import Annotated, class_name, gather
from studio.data.files.box_numbers import OPTIONS as NUMBERS
from studio.data.files.box_numbers import Numbers
from studio.data.files.image_finder import ImageFinder, walk_files
from studio.data.files.images import SUFFIXES
from studio.data.files.layout import SPLITS
from studio.data.files.limits import Limits
from studio.data.files.no_such import no_such
from studio.data.files.yolo_lines import BadLine, Lines
from studio.data.files.zip_paths import AnyPath, source_of
from studio.data.items import Dataset, Skipped

OPTIONS = {
    **NUMBERS,
    "lines": "outline or keypoints: what more than four numbers behind a class are, where that is unclear",
    "names": "the file with the names of the classes, where none is found",
    "encoding": "that of the file of names, where it is not UTF-8",
}
NAMES = ("classes.txt", "obj.names", "classes.names", "names.txt", "labels.txt", "notes.json")
LISTS = {"classes.txt", "names.txt", "labels.txt", "train.txt", "val.txt", "valid.txt", "test.txt"}
NOTHING = ("", "null", "~", "none")


@dataclass
class _Set:
    """What a description says: where the images of each split are, and what class each id is."""

    what: str
    names: dict[int, str]
    images: dict[str | None, list[AnyPath]]
    keypoints: tuple[int, ...] | None = None
    missing: list[Skipped] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Class ids are places in `names`. Raises DataError where names or images are lacking, or boxes are in pixels."""
    return read_from(Path(rest).expanduser(), options, limits)


def read_from(path: AnyPath, options: dict[str, str], limits: Limits) -> Dataset:
    """As `read`, from a file or folder on disk or in a zip."""
    path = _description(path, limits)
    if path.is_dir():
        layout = _from_folder(path, options, limits)
    elif path.suffix.lower() == ".data":
        layout = _from_data(path, options, limits)
    else:
        layout = _from_yaml(path, options, limits)
    return _read(layout, options, limits)


def is_yolo(content: Any) -> bool:
    """Whether a YAML describes such a set."""
    return isinstance(content, dict) and "names" in content and any(str(key).lower() in SPLITS for key in content)


def _read(layout: _Set, options: dict[str, str], limits: Limits) -> Dataset:
    ids = sorted(layout.names)
    classes = [layout.names[key] for key in ids]
    if twice := sorted({name for name in classes if classes.count(name) > 1}):
        raise DataError(f"{layout.what}: two classes have the name {twice[0]!r}. Give each its own.")
    numbers = Numbers("cxcywh", "shares").given(options, layout.what)
    places = {key: index for index, key in enumerate(ids)}
    keypoints = () if options.get("lines") == "outline" else layout.keypoints
    if options.get("lines") not in (None, "outline", "keypoints"):
        raise DataError(f"{layout.what}: lines={options['lines']}; expected outline or keypoints.")
    by_name = {name: index for index, name in enumerate(classes)}
    lines = Lines(places, by_name, numbers, keypoints, boxes_first=options.get("lines") == "keypoints")
    texts = _Texts()
    every = [image for images in layout.images.values() for image in images]
    text_of = texts.of(every, layout.missing)
    if every and not text_of:
        raise DataError(
            f"{layout.what}: none of its {len(every)} images has a text; looked for {_places(every[0])[0]}."
        )
    annotated = [
        _annotated(image, split, text_of.get(image), lines, layout.missing, limits)
        for split, images in layout.images.items()
        for image in images
        if image not in texts.unclear
    ]
    lines.refuse_unclear(layout.what)
    layout.missing += [Skipped(name, "its image is missing") for name in texts.orphans(set(text_of.values()))]
    remarks = layout.remarks + lines.said()
    if ids != list(range(len(ids))):
        remarks.append(f"Class ids have gaps ({ids[:6]}); they were numbered anew.")
    return gather(
        layout.what, classes, annotated, layout.missing, remarks, limits, numbers, f"Write yolo:{layout.what}?"
    )


def _annotated(
    image: AnyPath, split: str | None, text: AnyPath | None, lines: Lines, missing: list[Skipped], limits: Limits
) -> Annotated:
    """An image without a text, or with an empty one, shows nothing of the classes: it stays, as background."""
    out = Annotated(image.name, source_of(image), upright=True, split=split)
    try:
        content = read_lines(text, limits) if text is not None else []
    except (Unreadable, OSError) as error:
        missing.append(Skipped(text.name, error.reason if isinstance(error, Unreadable) else str(error)))
        content = []
    for number, line in enumerate(content, start=1):
        try:
            label, row, meaning = lines.read(line)
        except BadLine as error:
            missing.append(Skipped(f"{text.name}, line {number}", str(error)))
        else:
            out.add(row, label, False, meaning)
    return out


class _Texts:
    """Finds the text of each image: in `labels` in place of the last folder `images`, or beside the image."""

    def __init__(self) -> None:
        self._listed: dict[AnyPath, dict[str, list[AnyPath]]] = {}
        self.unclear: set[AnyPath] = set()  # images that share a text with another

    def of(self, images: list[AnyPath], missing: list[Skipped]) -> dict[AnyPath, AnyPath]:
        """Texts by image. Case may differ where no other image has the text as it is written."""
        exact: dict[AnyPath, AnyPath] = {}
        loose: dict[AnyPath, AnyPath] = {}
        for image in dict.fromkeys(images):
            for path in _places(image):
                alike = self._in(path.parent).get(_key(path.stem), [])
                if path in alike:
                    exact[image] = path
                elif len(alike) == 1:
                    loose[image] = alike[0]
                else:
                    continue
                break
        taken = set(exact.values())
        out = exact | {image: text for image, text in loose.items() if text not in taken}
        shared: dict[AnyPath, list[AnyPath]] = defaultdict(list)
        for image, text in out.items():
            shared[text].append(image)
        for text, both in shared.items():
            if len(both) > 1:
                names = ", ".join(image.name for image in both[:3])
                missing.append(Skipped(names, f"{text.name} may belong to either image"))
                self.unclear.update(both)
        return out

    def orphans(self, used: set[AnyPath]) -> list[str]:
        """Texts in the folders that were looked at which belong to no image."""
        folders = {text.parent for text in used}
        all_texts = {text for folder in folders for texts in self._in(folder).values() for text in texts}
        return sorted(text.name for text in all_texts - used if text.name.lower() not in LISTS)

    def _in(self, folder: AnyPath) -> dict[str, list[AnyPath]]:
        """The texts of a folder, by their stem in one spelling."""
        if folder not in self._listed:
            texts: dict[str, list[AnyPath]] = defaultdict(list)
            for text in sorted(_same_folder(folder).glob("*")):
                if text.suffix.lower() == ".txt":
                    texts[_key(text.stem)].append(text)
            self._listed[folder] = texts
        return self._listed[folder]


def _key(stem: str) -> str:
    return normalize("NFC", stem).casefold()


def _same_folder(folder: AnyPath) -> AnyPath:
    """The folder as it is written on disk: labels, Labels or LABELS."""
    if isinstance(folder, Path) and not folder.is_dir() and folder.parent.is_dir():
        alike = [path for path in folder.parent.iterdir() if path.name.casefold() == folder.name.casefold()]
        return alike[0] if len(alike) == 1 and alike[0].is_dir() else folder
    return folder


def _places(image: AnyPath) -> list[AnyPath]:
    """Where the text of an image may lie: the last folder called images becomes labels; or beside the image."""
    parts, folder = image.parts, image
    for number in range(len(parts) - 2, -1, -1):
        folder = folder.parent
        if parts[number].casefold() == "images":
            below = PurePosixPath(*parts[number + 1 :]).with_suffix(".txt")
            return [folder.parent / "labels" / str(below), image.with_suffix(".txt")]
    return [image.with_suffix(".txt")]


def _description(path: AnyPath, limits: Limits) -> AnyPath:
    """The YAML or .data of a folder, where it has just one; else the path itself."""
    if not path.exists():
        raise no_such(path)
    if not path.is_dir():
        return path
    yamls = [file for file in sorted(path.glob("*")) if file.suffix.lower() in (".yaml", ".yml")]
    yamls = [file for file in yamls if is_yolo(read_yaml(file, limits, as_text=True))]
    files = yamls or [file for file in sorted(path.glob("*")) if file.suffix.lower() == ".data"]
    if len(files) > 1:
        raise DataError(f"{path} has {', '.join(file.name for file in files[:4])}. Name one: yolo:{files[0]}")
    return files[0] if files else path


def _from_yaml(path: AnyPath, options: dict[str, str], limits: Limits) -> _Set:
    content = read_yaml(path, limits, as_text=True)
    splits = _by_split(content)
    if not splits.get("train") or not isinstance(content.get("names"), (list, dict, str)):
        raise DataError(f"{path.name}: expected `train` (a folder of images) and `names` (the classes).")
    names = _names(content["names"], path, options, limits)
    out = _Set(path.name, names, {}, _kpt_shape(content.get("kpt_shape")))
    base = str(content.get("path") or "")
    root = path.parent / base if base.lower() not in NOTHING else path.parent
    places: dict[AnyPath, str] = {}
    for split, given in splits.items():
        images: list[AnyPath] = []
        for entry in given:
            source = _place(root, path.parent, entry, split, out)
            if places.setdefault(source, split) != split and source not in (root / entry, path.parent / entry):
                raise DataError(
                    f"{path.name}: {split} is {entry!r}, which would be {source}, that of {places[source]}."
                )
            images += _images(source, [path.parent, root], out, limits)
        out.images[split] = list(dict.fromkeys(images))
    unused = [str(key) for key in content if str(key).lower() not in SPLITS and re.search("train|val|test", str(key))]
    if unused:
        out.remarks.append(f"{path.name} has {', '.join(unused[:4])}, which is no split that is known and is not read.")
    stated = str(content.get("nc", "")).strip()
    if stated.isdigit() and int(stated) != len(names):
        out.remarks.append(f"{path.name} says nc: {int(stated)}, but names {len(names)} classes; the names count.")
    return out


def _by_split(content: Any) -> dict[str, list[str]]:
    """The places of each split. `valid` and `validation` are val."""
    splits: dict[str, list[str]] = {}
    for key, given in content.items() if isinstance(content, dict) else ():
        split = SPLITS.get(str(key).lower())
        places = [str(entry).strip() for entry in (given if isinstance(given, list) else [given])]
        if split is not None and (kept := [entry for entry in places if entry.lower() not in NOTHING]):
            splits.setdefault(split, []).extend(kept)
    return splits


def _names(given: Any, path: AnyPath, options: dict[str, str], limits: Limits) -> dict[int, str]:
    """Class names by id, as they are written: `no`, `on` and `007` are names. Raises DataError for what is none."""
    if isinstance(given, str):
        file = path.parent / given
        if not file.is_file():
            raise DataError(f"{path.name}: names is {given[:40]!r}; expected a list, or a file of names.")
        given = _lines_of_names(file, options, limits)
    if isinstance(given, list):
        pairs = list(enumerate(given))
    else:
        numbered = all(str(key).strip().isdigit() for key in given)
        turned = not numbered and all(isinstance(name, str) and name.strip().isdigit() for name in given.values())
        if not numbered and not turned:
            wrong = next(str(key) for key in given if not str(key).strip().isdigit())
            raise DataError(f"{path.name}: the id {wrong[:40]!r} in names is no number.")
        pairs = [(int(key), name) for key, name in ((b, a) if turned else (a, b) for a, b in given.items())]
    names: dict[int, str] = {}
    for key, name in pairs:
        if not isinstance(name, str) or not class_name(name):
            raise DataError(f"{path.name}: the name of class {key} is no text.")
        if names.setdefault(key, class_name(name)) != class_name(name):
            raise DataError(f"{path.name}: class {key} has two names.")
    if not names:
        raise DataError(f"{path.name} names no classes.")
    return names


def _lines_of_names(file: AnyPath, options: dict[str, str], limits: Limits) -> list[str]:
    if file.suffix.lower() == ".json":
        content = read_json(file, limits)  # Label Studio's notes.json
        entries = content.get("categories") if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) and "name" in entry for entry in entries):
            raise DataError(f"{file.name}: expected `categories` with a `name` each.")
        return [str(entry["name"]) for entry in sorted(entries, key=lambda entry: str(entry.get("id", "")).zfill(9))]
    return read_lines(file, limits, options.get("encoding"))


def _kpt_shape(given: Any) -> tuple[int, ...] | None:
    if (
        isinstance(given, list)
        and len(given) == 2
        and all(str(entry).isdigit() and len(str(entry)) < 5 for entry in given)
    ):
        return int(given[0]), int(given[1])
    return None


def _place(root: AnyPath, beside: AnyPath, given: str, split: str, out: _Set) -> AnyPath:
    """The folder or list that an entry means. Roboflow's `../train/images` lies beside the YAML, without the `../`.

    Paths of another machine are tried from their end. Raises DataError where nothing is there, or two things are.
    """
    written = given.replace("\\", "/") if not _exists(root / given) else given
    as_is = [path for path in (root / written, beside / written) if _exists(path)]
    parts = [part for part in PurePosixPath(written).parts if part not in ("..", "/", ".") and not part.endswith(":")]
    tails = ["/".join(parts)] if written.startswith("..") else []
    tails += ["/".join(parts[start:]) for start in range(len(parts) - 1)]
    others = [path for tail in dict.fromkeys(tails) for path in (beside / tail, root / tail) if _exists(path)]
    if as_is:
        if written.startswith("..") and others and not _same(as_is[0], others[0]):
            raise DataError(
                f"{out.what}: {split} is {given!r}, which may be {as_is[0]} or {others[0]}. Write the one you mean."
            )
        return as_is[0]
    if not others:
        raise DataError(f"{out.what}: {split} is {given!r}, but there is no {root / written}.")
    if not written.startswith("../"):
        out.remarks.append(f"{split} is read from {others[0]}; {written[:80]!r} is not there.")
    return others[0]


def _exists(path: AnyPath) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _same(first: AnyPath, second: AnyPath) -> bool:
    return first.resolve() == second.resolve()


def _images(path: AnyPath, roots: list[AnyPath], out: _Set, limits: Limits) -> list[AnyPath]:
    """The images of a folder, or those that a text file lists."""
    if path.is_dir():
        return [file for file, _ in walk_files(path) if file.suffix.lower() in SUFFIXES]
    if path.suffix.lower() in SUFFIXES:
        return [path]
    finder = ImageFinder([path.parent, *roots], outward=True)
    images = []
    for line in read_lines(path, limits):
        image = finder.find(line)
        if image.path is None:
            out.missing.append(Skipped(line[:120], f"{path.name} names it, but {image.reason}"))
        else:
            images.append(image.path)
    return images


def _from_data(path: AnyPath, options: dict[str, str], limits: Limits) -> _Set:
    """darknet's obj.data: `names = obj.names`, `train = train.txt`, paths from its folder or from a place above."""
    given = dict((part.strip() for part in line.split("=", 1)) for line in read_lines(path, limits) if "=" in line)
    if "names" not in given:
        raise DataError(f"{path.name}: expected `names = FILE`, as darknet has it.")
    out = _Set(path.name, {}, {})
    file = _place(path.parent, path.parent, PurePosixPath(given["names"]).name, "names", out)
    out.names = _names(_lines_of_names(file, options, limits), file, options, limits)
    for split, places in _by_split(given).items():
        for entry in places:
            tail = next((t for t in (entry, PurePosixPath(entry).name) if _exists(path.parent / t)), entry)
            folder = _place(path.parent, path.parent, tail, split, out)
            out.images.setdefault(split, []).extend(_images(folder, [path.parent], out, limits))
    return _with_images(out, path.parent)


def _from_folder(folder: AnyPath, options: dict[str, str], limits: Limits) -> _Set:
    """images/ and labels/, or images with texts beside them, and a file of names; splits by their folders' names."""
    places = [folder, folder / "labels"]
    known = [root / name for root in places for name in NAMES if (root / name).is_file()]
    known += [file for file in sorted(folder.glob("*")) if file.suffix == ".names" and file not in known]
    if "names" in options:
        known = [folder / options["names"]] if (folder / options["names"]).is_file() else _no_names(folder, options)
    if not known:
        raise DataError(
            f"{folder}: texts of boxes are there, but no names of their classes. Add classes.txt with a name in each "
            "line, in the order of the ids, or a data.yaml."
        )
    out = _Set(str(folder), _names(_lines_of_names(known[0], options, limits), known[0], options, limits), {})
    out.remarks.append(f"Read as YOLO without a YAML; the classes are those of {known[0].name}.")
    for file in sorted(folder.glob("*.txt")):
        if (split := SPLITS.get(file.stem.lower())) is not None:
            out.images.setdefault(split, []).extend(_images(file, [folder], out, limits))
    return _with_images(out, folder)


def _no_names(folder: AnyPath, options: dict[str, str]) -> list[AnyPath]:
    raise DataError(f"{folder}: there is no file {options['names']!r} of names.")


def _with_images(out: _Set, folder: AnyPath) -> _Set:
    """With all images of the folder, where no list names any; their split is the name of a folder above them."""
    if not any(out.images.values()):
        for path, below in walk_files(folder):
            if path.suffix.lower() in SUFFIXES:
                split = next((SPLITS[p.lower()] for p in PurePosixPath(below).parts[:-1] if p.lower() in SPLITS), None)
                out.images.setdefault(split, []).append(path)
    if not any(out.images.values()):
        raise DataError(f"{out.what}: no images were found below {folder}.")
    return out
