"""`list:FILE?root=FOLDER`: a plain list of images, as miniImageNet, CUB and CIFAR-FS splits come.

A line is `path label`, `path,label` or a path whose folder is the label; a heading `filename,label` is
skipped. Paths are relative to `root` (default: the folder of the list).
"""

import csv
from pathlib import Path

from studio.core.errors import DataError
from studio.data.items import Dataset, FileSource, Item, Skipped

HEADINGS = {"filename", "file", "path", "image"}


def read(rest: str, options: dict[str, str]) -> Dataset:
    """Raises DataError where the list or every one of its files is missing."""
    path = Path(rest).expanduser()
    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    root = Path(options.get("root", path.parent)).expanduser()
    pairs = [_pair(line) for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    if pairs and pairs[0][0].lower() in HEADINGS:
        pairs = pairs[1:]
    classes = sorted({label for _, label in pairs})
    place = {name: index for index, name in enumerate(classes)}
    items, skipped = [], []
    for name, label in pairs:
        file = _within(root, name, path)
        if file.is_file():
            items.append(Item(name, place[label], FileSource(file)))
        else:
            skipped.append(Skipped(name, f"there is no such file below {root}"))
    if not items:
        raise DataError(
            f"{path.name}: none of its {len(pairs)} files is below {root}. Name the folder with ?root=FOLDER."
        )
    return Dataset("", classes, items, skipped)


def _pair(line: str) -> tuple[str, str]:
    fields = next(csv.reader([line])) if "," in line else line.rsplit(maxsplit=1)
    fields = [field.strip() for field in fields]
    if len(fields) < 2:
        return fields[0], Path(fields[0]).parent.name
    return fields[0], fields[1]


def _within(root: Path, name: str, path: Path) -> Path:
    file = (root / name).resolve()
    if not file.is_relative_to(root.resolve()):
        raise DataError(f"{path.name}: {name!r} leads out of {root}. It is refused.")
    return file
