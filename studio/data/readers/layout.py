"""From file names to a dataset: class folders, with train/val/test above them or not.

Folders and zips share this; they differ only in where the bytes are.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath

from studio.core.errors import DataError
from studio.data.images import SUFFIXES, BadImage, inspect_image
from studio.data.items import Dataset, ImageSource, Item, Skipped

SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
HEAD = 64 * 1024  # bytes that hold the header of nearly every image
IGNORED = {"__MACOSX", "Thumbs.db", "desktop.ini"}


def dataset_of(
    spec: str, names: Iterable[str], source: Callable[[str], ImageSource], head: Callable[[str], tuple[bytes, int]]
) -> Dataset:
    """A dataset of the files `names` (posix paths below the root).

    `source(name)` gives a file's bytes later; `head(name)` gives its first bytes and whole size now.
    Files that can't be images are listed in `skipped`. Raises DataError where no class folder is found.
    """
    kept = [PurePosixPath(name) for name in names]
    kept = sorted(path for path in kept if not any(part in IGNORED or part.startswith(".") for part in path.parts))
    kept = _see_through(kept)
    divided = {path.parts[0].lower() for path, _ in kept if len(path.parts) > 2} & SPLITS.keys()
    classes: dict[str, None] = {}
    found: list[tuple[str, str, str | None, str]] = []
    skipped: list[Skipped] = []
    for path, whole in kept:
        split = SPLITS[path.parts[0].lower()] if divided and path.parts[0].lower() in SPLITS else None
        parts = path.parts[1:] if split else path.parts
        if path.suffix.lower() not in SUFFIXES:
            skipped.append(Skipped(str(path), f"{path.suffix or 'no suffix'} is no image suffix"))
        elif len(parts) < 2 or (divided and split is None):
            skipped.append(Skipped(str(path), "it lies in no class folder"))
        else:
            classes.setdefault(parts[0])
            found.append((str(path), parts[0], split, whole))
    if not classes:
        raise DataError(
            f"{spec}: no image in a class folder was found ({len(skipped)} other files). Expected one folder a "
            "class, such as photos/cat/1.jpg and photos/dog/1.jpg, with train/, val/, test/ above them or not."
        )
    return _inspected(spec, sorted(classes), found, skipped, source, head)


def _inspected(
    spec: str,
    classes: list[str],
    found: list[tuple[str, str, str | None, str]],
    skipped: list[Skipped],
    source: Callable[[str], ImageSource],
    head: Callable[[str], tuple[bytes, int]],
) -> Dataset:
    def problem(entry: tuple[str, str, str | None, str]) -> str | None:
        raw, size = head(entry[3])
        try:
            inspect_image(raw, entry[0], size)
        except BadImage as error:
            if size > len(raw):  # a large header, such as a thumbnail or a colour profile, may lie before the size
                return _whole_problem(source(entry[3]), entry[0])
            return error.reason
        return None

    with ThreadPoolExecutor(8) as pool:
        problems = list(pool.map(problem, found))
    items: list[Item] = []
    splits: dict[str, list[int]] = {}
    for (name, label, split, whole), reason in zip(found, problems, strict=True):
        if reason is not None:
            skipped.append(Skipped(name, reason))
            continue
        if split:
            splits.setdefault(split, []).append(len(items))
        items.append(Item(name, classes.index(label), source(whole)))
    return Dataset(spec, classes, items, skipped, splits)


def _whole_problem(source: ImageSource, name: str) -> str | None:
    try:
        inspect_image(source.read(), name)
    except BadImage as error:
        return error.reason
    return None


def _see_through(paths: list[PurePosixPath]) -> list[tuple[PurePosixPath, str]]:
    """Paths without folders that wrap everything, beside the whole path.

    One folder around all the others is only a wrapping; one around images is a class.
    """
    pairs = [(path, str(path)) for path in paths]
    while pairs:
        tops = {path.parts[0] for path, _ in pairs}
        deep = all(len(path.parts) > 2 for path, _ in pairs)
        if len(tops) != 1 or not deep or next(iter(tops)).lower() in SPLITS:
            break
        pairs = [(PurePosixPath(*path.parts[1:]), whole) for path, whole in pairs]
    return pairs
