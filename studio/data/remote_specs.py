"""Specs whose data are elsewhere: `folder:s3://bucket/photos`, `zip:https://...`, `coco:gs://...?images=gs://...`.

Folders and annotation files are read as if they lay in an archive (`RemoteTree`); a zip, and a file of arrays, is
fetched whole into the cache; shards (`wds:`) find their own way.
"""

import posixpath
from importlib import import_module

from studio.core.addresses import is_remote
from studio.core.errors import DataError
from studio.data import readers
from studio.data.files.limits import Limits
from studio.data.files.remote import RemoteTree, fetched
from studio.data.files.zip_paths import ZipPath
from studio.data.items import Dataset, FeatureSet
from studio.data.readers import zip as archives

WHOLE = ("zip", "mat", "npz")
ANNOTATED = ("coco", "csv", "cvat", "labelme", "labelstudio", "list", "masks", "via", "voc", "yolo")


def read_remote(scheme: str, rest: str, options: dict[str, str], limits: Limits) -> Dataset | FeatureSet:
    """As the reader of `scheme`, from another machine. Raises DataError where it reads from this one's disk alone."""
    if scheme == "wds":
        return import_module(f"{readers.__name__}.wds").read(rest, options, limits)
    if scheme == "folder":
        return archives.read_tree(RemoteTree(rest, limits), scheme, options, limits, classes_first=True)
    if scheme in WHOLE:
        return import_module(f"{readers.__name__}.{scheme}").read(str(fetched(rest, limits)), options, limits)
    if scheme in ANNOTATED:
        return _annotated(scheme, rest, options, limits)
    known = ", ".join(f"{name}:" for name in ("folder", "wds", *WHOLE, *ANNOTATED))
    raise DataError(f"data: {scheme}: reads from this machine's disk. From {rest[:60]!r} read {known}.")


def _annotated(scheme: str, rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Annotations and images below the deepest address that holds both."""
    addresses = [value for value in options.values() if is_remote(value)]
    is_file = bool(posixpath.splitext(posixpath.basename(rest.rstrip("/")))[1])
    start = posixpath.dirname(rest) if is_file else rest.rstrip("/")
    root = posixpath.commonpath([start, *addresses]) if addresses else start
    root = root.replace(":/", "://", 1) if "://" not in root else root
    if root.count("/") < 3 - (rest.startswith("s3://")):
        raise DataError(f"data: {rest} and {addresses[0]} have no folder in common.")
    inside = {
        key: posixpath.relpath(value.rstrip("/"), root) if is_remote(value) else value for key, value in options.items()
    }
    path = ZipPath(RemoteTree(root, limits)) / posixpath.relpath(rest.rstrip("/"), root)
    return import_module(f"{readers.__name__}.{scheme}").read_from(path, inside, limits)
