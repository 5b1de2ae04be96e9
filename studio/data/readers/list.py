"""`list:FILE?root=FOLDER`: a plain list, as the splits of miniImageNet, CUB and CIFAR-FS come.

A line names an image and its class (`path label` or `path,label`), an image alone (its folder is the
class), or a folder (all images in it; its name is the class). A heading such as `filename,label` is
skipped. Paths are relative to `root` (default: the folder of the list), or one image folder below it.
"""

import csv
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from studio.core.errors import DataError
from studio.data.files.annotation_files import Unreadable, read_text
from studio.data.files.images import SUFFIXES
from studio.data.files.layout import Entry, gather
from studio.data.files.limits import Limits
from studio.data.items import Dataset, FileSource, Skipped
from studio.data.readers.folder import walk

OPTIONS = {"root": "the folder that the paths start from"}
HEADINGS = {"filename", "file", "path", "image", "image_name", "name"}
LINE = 10_000  # characters of a line at most
BELOW = ("", "images", "data", "jpg")  # where the common sets keep their images


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError where the list or every one of its files is missing, or a path leads out of `root`."""
    path = Path(rest).expanduser()
    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    root = Path(options.get("root", path.parent)).expanduser()
    if not root.is_dir():
        raise DataError(f"{path.name}: there is no folder {root}.")
    entries: list[Entry] = []
    missing: list[Skipped] = []
    for name, label in _lines(path, limits):
        found = _find(root, name, path)
        if found is None:
            missing.append(Skipped(name, f"there is no such file below {root}"))
        elif found.is_dir():
            entries += [
                Entry(f"{name}/{below}", label or found.name, source)
                for below, source in sorted(walk(found)[0].items())
                if PurePosixPath(below).suffix.lower() in SUFFIXES
            ]
        else:
            entries.append(Entry(name, label or found.parent.name, FileSource(found)))
    if not entries:
        first = f"such as {missing[0].name!r}, " if missing else ""
        raise DataError(
            f"{path.name}: none of its {len(missing)} files, {first}is below {root}. Name the folder with ?root=FOLDER."
        )
    return gather(path.name, entries, missing, limits)


def _lines(path: Path, limits: Limits) -> Iterator[tuple[str, str | None]]:
    """Pairs (path, class or None)."""
    try:
        lines = [line for line in read_text(path, limits).splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name} is no text file in UTF-8; expected lines such as cat/1.jpg,cat.") from error
    for number, line in enumerate(lines):
        if len(line) > LINE:
            raise Unreadable(path, f"line {number + 1} has {len(line):,} characters; expected a path and a class")
        name, label = _pair(line)
        if number > 0 or name.lower() not in HEADINGS:
            yield name.replace("\\", "/"), label


def _pair(line: str) -> tuple[str, str | None]:
    """`path,label`, or `path label` where the first part ends like an image; else the whole line is a path."""
    if "," in line:
        fields = [field.strip() for field in next(csv.reader([line]))]
        return fields[0], fields[1] or None
    first, *rest = line.strip().rsplit(maxsplit=1)
    if rest and PurePosixPath(first).suffix.lower() in SUFFIXES:
        return first, rest[0]
    return line.strip(), None


def _find(root: Path, name: str, path: Path) -> Path | None:
    if not (root / name).resolve().is_relative_to(root.resolve()):
        raise DataError(f"{path.name}: {name!r} leads out of {root}. It is refused.")
    return next((root / below / name for below in BELOW if (root / below / name).exists()), None)
