"""`omniglot:PATH`: characters of fifty alphabets, as torchvision lays them out or as the original zips.

A class is `Alphabet/characterNN`; its alphabet is the domain, so protocols within one alphabet and
between alphabets are both possible. `?alphabets=Greek+Latin` keeps some, `?split=vinyals-train` is left
to list: files.
"""

import os
from pathlib import Path, PurePosixPath

from studio.core.errors import DataError, nearest
from studio.data.items import Dataset, FileSource, ImageSource, Item
from studio.data.readers.zipfile import ZipSource, open_archive


def read(rest: str, options: dict[str, str]) -> Dataset:
    """Raises DataError where no `Alphabet/characterNN/*.png` is found."""
    path = Path(rest).expanduser()
    if not path.exists():
        raise DataError(f"There is no file or folder {path}.")
    files = _zip_files(path) if path.is_file() else _folder_files(path)
    found = sorted((_place(name), name) for name in files if _place(name) is not None)
    if not found:
        raise DataError(f"{path} holds no Omniglot characters; expected Alphabet/character01/0001_01.png and so on.")
    found = _chosen(found, options.get("alphabets"))
    classes = sorted({f"{alphabet}/{character}" for (alphabet, character), _ in found})
    place = {name: index for index, name in enumerate(classes)}
    items = [
        Item(name, place[f"{alphabet}/{character}"], files[name], alphabet) for (alphabet, character), name in found
    ]
    return Dataset("", classes, items)


def _place(name: str) -> tuple[str, str] | None:
    parts = PurePosixPath(name).parts
    if len(parts) >= 3 and parts[-2].startswith("character") and parts[-1].endswith(".png"):
        return parts[-3], parts[-2]
    return None


def _zip_files(path: Path) -> dict[str, ImageSource]:
    import threading

    archive, lock = open_archive(path), threading.Lock()
    return {info.filename: ZipSource(archive, lock, info.filename) for info in archive.infolist() if not info.is_dir()}


def _folder_files(path: Path) -> dict[str, ImageSource]:
    files: dict[str, ImageSource] = {}
    for folder, _, names in os.walk(path):
        for name in names:
            file = Path(folder) / name
            files[file.relative_to(path).as_posix()] = FileSource(file)
    return files


def _chosen(found: list, alphabets: str | None) -> list:
    if not alphabets:
        return found
    wanted = alphabets.replace("+", " ").split()
    known = {alphabet for (alphabet, _), _ in found}
    for name in wanted:
        if name not in known:
            raise DataError(f"Omniglot here has no alphabet {name!r}.{nearest(name, known)}")
    return [entry for entry in found if entry[0][0] in wanted]
