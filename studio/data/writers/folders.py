"""Folders: one a class, with its images; `folder:` reads them."""

from pathlib import Path

from studio.data.items import Dataset
from studio.data.writers.copied_images import copy_into
from studio.store.uploads import safe_name

TRUTHS = ("labels",)


def write(dataset: Dataset, out: Path) -> None:
    """CLASS/NAME.jpg. Names of classes that no file system takes are changed, and stay apart."""
    folders: list[Path] = []
    for name in dataset.classes:
        wanted, number = safe_name(name), 1
        while any(folder.name.lower() == wanted.lower() for folder in folders):
            number += 1
            wanted = f"{safe_name(name)}-{number}"
        folders.append(out / wanted)
        folders[-1].mkdir()
    taken: list[set[str]] = [set() for _ in folders]
    for item in dataset.items:
        if item.label >= 0:
            copy_into(folders[item.label], item, taken[item.label])
