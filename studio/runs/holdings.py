"""What a home holds of its machine: devices and the runs at work on them, folders by size, what may be cleaned up."""

from dataclasses import dataclass
from typing import Any

from studio.core.home import Home
from studio.device.manager import DeviceManager
from studio.device.probe import DeviceInfo
from studio.store import Store
from studio.store.uploads import bytes_of

FOLDERS = ("runs", "checkpoints", "blobs", "features", "uploads", "exports", "labels", "fetched")
AT_WORK = ("running", "stopping", "queued")


@dataclass(frozen=True)
class Holdings:
    """Sizes are in bytes; `garbage` is what nothing refers to any more."""

    devices: list[DeviceInfo]
    at_work: list[dict[str, Any]]
    folders: dict[str, int]
    garbage: int


def holdings(home: Home) -> Holdings:
    """Looked up now: every file of the home is counted."""
    store = Store(home)
    sizes = {name: bytes_of(folder) for name in FOLDERS if (folder := getattr(home, name)).is_dir()}
    at_work = [row for row in store.runs() if row["status"] in AT_WORK]
    return Holdings(DeviceManager(home).list(), at_work, sizes, store.gc(dry_run=True)["bytes"])
