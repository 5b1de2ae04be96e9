"""Data: readers, the one door for images, checks, splits, transforms, the feature cache.

May use studio.core and studio.store. `open_data(spec)` reads any spec; `read_image` opens any image;
adding a kind of data is adding a file to `readers/`.
"""

from studio.data.checks.check import check
from studio.data.files.images import read_image
from studio.data.items import Dataset, FeatureSet, Item
from studio.data.saved_version import save_version
from studio.data.specs import open_data
from studio.data.splits import require_classes, resolve_splits

__all__ = [
    "Dataset", "FeatureSet", "Item", "check", "open_data", "read_image", "require_classes", "resolve_splits",
    "save_version",
]  # fmt: skip
