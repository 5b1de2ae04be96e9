"""`folder:PATH`: class sub-folders, with train/, val/, test/ above them or not."""

import os
from pathlib import Path

from studio.core.errors import DataError
from studio.data.items import Dataset, FileSource
from studio.data.readers.layout import HEAD, dataset_of


def read(rest: str, options: dict[str, str]) -> Dataset:
    """Raises DataError where the folder is missing or holds no class folder with images."""
    root = Path(rest).expanduser()
    if not root.exists():
        raise DataError(f"There is no folder {root}.")
    if not root.is_dir():
        raise DataError(f"{root} is a file, not a folder. For a zip write zip:{root}")

    def head(name: str) -> tuple[bytes, int]:
        try:
            with open(root / name, "rb") as file:
                return file.read(HEAD), os.fstat(file.fileno()).st_size
        except OSError:
            return b"", 0

    return dataset_of(f"folder:{rest}", _files(root), lambda name: FileSource(root / name), head)


def _files(root: Path) -> list[str]:
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = Path(folder).relative_to(root)
        found += [(below / name).as_posix() for name in files]
    return found
