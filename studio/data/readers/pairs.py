"""`pairs:FOLDER?a=NAME&b=NAME`: images in two looks, paired by name: a is what they are, b what they are to become.

pairs:roadscene?a=infrared&b=visible     infrared/1.jpg with visible/1.jpg; train/, val/, test/ above or below
pairs:facades?a=left&b=right             both in one file, side by side, where there are no folders of these names
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from unicodedata import normalize

import numpy as np

from studio.core.errors import DataError, nearest
from studio.data.files.images import read_image
from studio.data.files.layout import SPLITS, part
from studio.data.files.limits import LIMITS, Limits
from studio.data.files.no_such import no_such
from studio.data.items import Dataset, FileSource, ImageSource, Item, Skipped
from studio.data.readers.folder import walk
from studio.data.readers.images import refuse_beside, split_of

OPTIONS = {
    "a": "the folder of the images as they are, or left or right of images side by side",
    "b": "the folder of what they are to become, or the other half",
}
HALVES = {"left", "right"}
Key = tuple[str | None, tuple[str, ...]]  # the split, and what is left of a path


@dataclass(frozen=True)
class HalfSource:
    """The left or right half of an image in which two lie side by side."""

    whole: ImageSource
    side: str
    limits: Limits = LIMITS

    def read(self) -> np.ndarray:
        """Pixels uint8 [H, W // 2, 3]."""
        pixels = np.asarray(read_image(self.whole, limits=self.limits))
        middle = pixels.shape[1] // 2
        return np.ascontiguousarray(pixels[:, :middle] if self.side == "left" else pixels[:, -middle:])

    def digest(self) -> str:
        return f"{self.whole.digest()}-{self.side}"


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError where a folder is missing or no image has its pair."""
    root = Path(rest).expanduser()
    if not root.is_dir():
        raise no_such(root, "folder")
    a, b = (_name(options, side) for side in ("a", "b"))
    if a == b:
        raise DataError(f"pairs: a and b are both {a!r}; expected two looks.")
    files, closed = walk(root)
    paths, _ = part(files)
    folders = {name for path in paths for name in path.parts[:-1]}
    if {a, b} == HALVES and not folders & HALVES:
        return refuse_beside(_halves(paths, files, a, b, closed, limits), root)
    for side, name in (("a", a), ("b", b)):
        if name not in folders:
            raise DataError(f"pairs: {root} has no folder {name!r} with images (?{side}=).{nearest(name, folders)}")
    return refuse_beside(_matched(paths, files, a, b, closed, root), root)


def _name(options: dict[str, str], side: str) -> str:
    if not options.get(side):
        raise DataError(f"pairs: ?{side}= is missing; expected pairs:FOLDER?a=NAME&b=NAME, two of its sub-folders.")
    return options[side].strip("/")


def _halves(
    paths: list[PurePosixPath], files: dict[str, FileSource], a: str, b: str, closed: list[Skipped], limits: Limits
) -> Dataset:
    dataset = Dataset("", [], [], closed)
    for path in paths:
        whole = files[str(path)]
        _add(dataset, str(path), split_of(path), HalfSource(whole, a, limits), HalfSource(whole, b, limits))
    if not dataset.items:
        raise DataError("pairs: the folder holds no image.")
    return dataset


def _matched(
    paths: list[PurePosixPath], files: dict[str, FileSource], a: str, b: str, closed: list[Skipped], root: Path
) -> Dataset:
    """Images of folder `a` with those of folder `b` of the same name and split; what is alone is named in `skipped`."""
    sides: dict[str, dict[Key, PurePosixPath]] = {a: {}, b: {}}
    for path in paths:
        side = next((name for name in path.parts[:-1] if name in sides), None)
        if side is not None:
            sides[side][_key(path, side)] = path
    dataset = Dataset("", [], [], closed)
    for key, path in sides[a].items():
        other = sides[b].get(key)
        if other is None:
            dataset.skipped.append(Skipped(str(path), f"there is no image of its name in {b}/"))
        else:
            _add(dataset, str(path), key[0], files[str(path)], files[str(other)])
    alone = [path for key, path in sides[b].items() if key not in sides[a]]
    dataset.skipped += [Skipped(str(path), f"there is no image of its name in {a}/") for path in alone]
    if not dataset.items:
        raise DataError(
            f"pairs: no image below {root} has its pair: {len(sides[a])} in {a}/ and {len(sides[b])} in {b}/ have "
            "other names. Expected the same file name in both, such as "
            f"{a}/1.jpg and {b}/1.jpg."
        )
    return dataset


def _key(path: PurePosixPath, side: str) -> Key:
    """What two images of a pair have in common: the split, folders that are neither, the stem."""
    rest = [name for name in path.parts[:-1] if name != side and name.lower() not in SPLITS]
    return split_of(path), tuple(normalize("NFC", name) for name in (*rest, path.stem))


def _add(dataset: Dataset, name: str, split: str | None, source: ImageSource, pair: ImageSource) -> None:
    if split:
        dataset.splits.setdefault(split, []).append(len(dataset.items))
    dataset.items.append(Item(name, -1, source, pair=pair))
