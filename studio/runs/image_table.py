"""The images of a data set as a page looks at them: of each its name, classes, split and a thumbnail; and its problems.

Written once by whoever reads the images, into two files of a folder: `images.json`, and the thumbnails one after the
other in `thumbnails.bin`. Reading opens no image.
"""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from studio.core.errors import DataError
from studio.data import Dataset
from studio.data.checks.left_out import PROBLEMS

MOST = 20_000  # images that have a thumbnail; of larger sets, evenly spaced ones
NOWHERE = -2


@dataclass(frozen=True)
class ImageRow:
    """One image: its name, the places of its classes and split among the table's, and where its thumbnail lies."""

    name: str
    classes: tuple[int, ...]
    split: int  # -1: none
    start: int
    size: int  # bytes; 0: it has no thumbnail

    @property
    def seen(self) -> bool:
        return self.size > 0


@dataclass(frozen=True)
class ImageTable:
    """`groups` are, by problem, rows that belong together; `broken` are (name, reason) of what could not be read."""

    folder: Path
    spec: str
    images: int  # of the whole set
    classes: list[str]
    splits: list[str]
    rows: list[ImageRow]
    groups: dict[str, list[list[int]]]
    broken: list[tuple[str, str]]

    def counts(self) -> dict[str, int]:
        """How many groups or images each problem has, of those that there are."""
        counted = {"broken": len(self.broken), **{problem: len(groups) for problem, groups in self.groups.items()}}
        return {problem: count for problem, count in counted.items() if count}

    def select(self, label: str | None = None, split: str | None = None) -> list[int]:
        """Rows with a thumbnail, of a class and a split; None is any."""
        fits = self._filter(label, split)
        return [place for place, row in enumerate(self.rows) if row.seen and fits(row)]

    def groups_of(self, problem: str, label: str | None = None, split: str | None = None) -> list[list[int]]:
        """Groups of a problem one of whose images is of a class and a split. Raises DataError for an unknown one."""
        if problem not in PROBLEMS:
            raise DataError(f"problem: found {problem[:40]!r}; expected one of {', '.join(PROBLEMS)}.")
        fits = self._filter(label, split)
        return [group for group in self.groups.get(problem, []) if any(fits(self.rows[place]) for place in group)]

    def thumbnail(self, place: int) -> str:
        """The thumbnail of a row as a data URL; empty where it has none."""
        row = self.rows[place]
        if not row.seen:
            return ""
        with open(self.folder / "thumbnails.bin", "rb") as file:
            file.seek(row.start)
            return f"data:image/jpeg;base64,{base64.b64encode(file.read(row.size)).decode()}"

    def labels_of(self, row: ImageRow) -> list[str]:
        return [self.classes[place] for place in row.classes]

    def split_of(self, row: ImageRow) -> str:
        return self.splits[row.split] if row.split >= 0 else ""

    def _filter(self, label: str | None, split: str | None) -> Callable[[ImageRow], bool]:
        """Whether a row is of a class and a split; none is of one that the table has not."""
        of_class = self.classes.index(label) if label in self.classes else NOWHERE
        of_split = self.splits.index(split) if split in self.splits else NOWHERE
        return lambda row: (label is None or of_class in row.classes) and (split is None or row.split == of_split)


def shown_rows(count: int) -> Sequence[int]:
    """The rows of a set of `count` images that get a thumbnail."""
    return range(count) if count <= MOST else np.linspace(0, count - 1, MOST).round().astype(int).tolist()


def write_table(
    folder: Path, data: Dataset, report: Mapping[str, Any], thumbnails: Mapping[int, tuple[bytes, list[int]]]
) -> None:
    """Writes what `read_table` reads; `thumbnails` are JPEGs and classes by row."""
    named = {name for lists in PROBLEMS.values() for group in _groups(report, lists) for name in group}
    kept = [row for row, item in enumerate(data.items) if row in thumbnails or item.name in named]
    splits = list(data.splits)
    split_of = {row: place for place, name in enumerate(splits) for row in data.splits[name]}
    lines, place_of = [], dict[str, int]()
    with open(folder / "thumbnails.bin", "wb") as file:
        for row in kept:
            item = data.items[row]
            jpeg, classes = thumbnails.get(row, (b"", [item.label] if item.label >= 0 else []))
            place_of.setdefault(item.name, len(lines))
            lines.append([item.name, classes, split_of.get(row, -1), file.tell(), len(jpeg)])
            file.write(jpeg)
    groups = {
        problem: [[place_of[name] for name in group if name in place_of] for group in _groups(report, lists)]
        for problem, lists in PROBLEMS.items() if problem != "broken"
    }  # fmt: skip
    table = {
        "spec": report["spec"], "images": report["images"], "classes": data.classes, "splits": splits, "rows": lines,
        "groups": groups, "broken": [[one["name"], one["reason"]] for one in report["broken"]],
    }  # fmt: skip
    text = json.dumps(table, ensure_ascii=False, separators=(",", ":"))
    (folder / "images.json").write_text(text, encoding="utf-8", errors="replace")


def read_table(folder: Path) -> ImageTable:
    """Raises DataError where there is none (any more)."""
    try:
        return _read(folder, (folder / "images.json").stat().st_mtime_ns)
    except OSError:
        raise DataError("The images that were looked at are no longer kept. Use the data once more.") from None


@lru_cache(maxsize=8)
def _read(folder: Path, written_ns: int) -> ImageTable:
    values = json.loads((folder / "images.json").read_text(encoding="utf-8"))
    rows = [ImageRow(name, tuple(classes), *rest) for name, classes, *rest in values.pop("rows")]
    broken = [(name, reason) for name, reason in values.pop("broken")]
    return ImageTable(folder, rows=rows, broken=broken, **values)


def _groups(report: Mapping[str, Any], lists: Sequence[str]) -> list[list[str]]:
    """Lists of names; a name by itself is a group of one, and what is broken is in none."""
    found = [group for name in lists if name != "broken" for group in report[name]]
    return [[group] if isinstance(group, str) else group for group in found]
