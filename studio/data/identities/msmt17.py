"""MSMT17 of either version, divided by its lists."""

from pathlib import PurePosixPath

from studio.core.errors import DataError
from studio.data.files.annotation_files import read_lines
from studio.data.files.layout import Entry
from studio.data.files.limits import Limits
from studio.data.files.zip_paths import AnyPath, source_of
from studio.data.identities.published import Reading, counted, not_there

LISTS = {"list_train.txt": "train", "list_val.txt": "train", "list_query.txt": "query", "list_gallery.txt": "gallery"}
FOLDERS = {"train": ("train", "mask_train_v2"), "test": ("test", "mask_test_v2")}  # of version 1 and 2
COUNTS = {"train": (32_621, 1_041), "query": (11_659, 3_060), "gallery": (82_161, 3_060)}
EXAMPLE = "0000/0000_000_01_0303morning_0008_0.jpg"


def read_msmt17(root: AnyPath, limits: Limits) -> Reading:
    """Train and val are learned from together. Raises DataError where a list, or every image of them, is missing."""
    folders = {part: next((root / name for name in names if (root / name).is_dir()), None)
               for part, names in FOLDERS.items()}  # fmt: skip
    missing = [file for file in LISTS if not (root / file).is_file()]
    missing += [f"{part}/" for part, folder in folders.items() if folder is None]
    if missing:
        raise not_there("MSMT17", root, missing, f"train/{EXAMPLE} and list_train.txt")
    entries, absent = list[Entry](), list[str]()
    for file, split in LISTS.items():
        folder = folders["train" if split == "train" else "test"]
        assert folder is not None
        for line in read_lines(root / file, limits):
            name, person, camera = _parts(file, line)
            if not (folder / name).is_file():
                absent.append(name)
                continue
            who = person if split == "train" else f"test-{person}"  # both number their persons from 0 on
            entries.append(Entry(f"{folder.name}/{name}", who, source_of(folder / name), split, camera=camera))
    if not entries:
        raise DataError(f"{root}: none of the {len(absent)} images that its lists name is there.")
    remarks = [f"{len(absent)} images that the lists name are missing, such as {absent[0]}."] if absent else []
    return Reading(entries, remarks + counted(entries, COUNTS, "MSMT17"))


def _parts(file: str, line: str) -> tuple[str, str, str]:
    """The path, person and camera of a line. Raises DataError where it names no such image."""
    name = PurePosixPath(line.split()[0])
    parts = name.name.split("_")
    if len(parts) < 3 or not parts[2].isdigit() or name.is_absolute() or ".." in name.parts:
        raise DataError(f"{file}: {line[:80]!r} is not like {EXAMPLE} 0.")
    return str(name), parts[0], str(int(parts[2]))
