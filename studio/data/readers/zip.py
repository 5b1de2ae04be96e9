"""`zip:FILE`: the layout of a folder, of a public set of individuals, or annotated images of any format that is known.

It is read without unpacking.
"""

from pathlib import Path

from studio.core.errors import DataError
from studio.data.files.archives import Archive, Tree
from studio.data.files.layout import by_folders
from studio.data.files.limits import Limits
from studio.data.files.zip_paths import ZipPath
from studio.data.formats import OPTIONS as FORMAT_OPTIONS
from studio.data.formats import read_annotated
from studio.data.items import Dataset
from studio.data.readers import reid

OPTIONS = FORMAT_OPTIONS


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError for a missing, damaged, unsafe or empty archive, or one with several sets of annotations."""
    archive = Archive(Path(rest).expanduser(), limits)
    if not options and reid.public_set(ZipPath(archive)) is not None:
        return reid.read(rest, {}, limits)
    return read_tree(archive, "zip", options, limits)


def read_tree(tree: Tree, scheme: str, options: dict[str, str], limits: Limits, classes_first: bool = False) -> Dataset:
    """As `read`, of any tree; `scheme` is how it was asked for."""
    name = tree.path.name
    annotated = read_annotated(ZipPath(tree), name, scheme, options, limits, classes_first)
    if isinstance(annotated, Dataset):
        return annotated
    if others := sorted(options.keys() - {"annotations"}):
        raise DataError(f"{name} holds no annotations, so ?{others[0]}= says nothing.")
    dataset = by_folders(name, tree.sources(), limits)
    dataset.remarks += [annotated] if annotated else []
    return dataset
