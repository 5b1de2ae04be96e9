"""`zip:FILE`: the layout of a folder, read without unpacking anything to disk."""

from pathlib import Path

from studio.data.archives import Archive
from studio.data.items import Dataset
from studio.data.layout import by_folders
from studio.data.limits import Limits

OPTIONS: dict[str, str] = {}


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError for a missing, damaged, unsafe or empty archive."""
    path = Path(rest).expanduser()
    return by_folders(path.name, Archive(path, limits).sources(), limits)
