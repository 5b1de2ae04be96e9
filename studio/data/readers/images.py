"""`images:FOLDER`, `images:FILE.zip`: every image there, whatever the names of folders; train/, val/, test/ are splits.

For tasks that ask for no truth, looks to learn or photos to translate, and for photos that are still to be labelled.
"""

from pathlib import Path, PurePosixPath

from studio.core.errors import DataError
from studio.data.files.archives import Archive
from studio.data.files.layout import SPLITS, part
from studio.data.files.limits import Limits
from studio.data.files.no_such import no_such
from studio.data.items import Dataset, Item
from studio.data.readers.folder import walk

OPTIONS: dict[str, str] = {}


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError where the folder is missing or holds no image."""
    root = Path(rest).expanduser()
    if not root.exists():
        raise no_such(root, "folder")
    if root.is_file() and root.suffix.lower() != ".zip":
        raise DataError(f"{root} is a file; images: names a folder of images, or a zip.")
    files, closed = walk(root) if root.is_dir() else (Archive(root, limits).sources(), [])
    paths, _ = part(files)
    if not paths:
        raise DataError(f"{root} holds no image. Expected image files, in sub-folders or not.")
    dataset = Dataset("", [], [], closed)
    for path in paths:
        if split := split_of(path):
            dataset.splits.setdefault(split, []).append(len(dataset.items))
        dataset.items.append(Item(str(path), -1, files[str(path)]))
    return refuse_beside(dataset, root)


def split_of(path: PurePosixPath) -> str | None:
    """train, val or test, where one of its folders is named so."""
    return next((SPLITS[name.lower()] for name in path.parts[:-1] if name.lower() in SPLITS), None)


def refuse_beside(dataset: Dataset, root: Path) -> Dataset:
    """The dataset. Raises DataError where some images lie in train/, val/ or test/ and some beside them."""
    beside = len(dataset) - sum(map(len, dataset.splits.values()))
    if dataset.splits and beside:
        names = ", ".join(f"{name}/" for name in dataset.splits)
        raise DataError(f"{root}: {beside} images lie beside {names}. Move them into one of these, or name one folder.")
    return dataset
