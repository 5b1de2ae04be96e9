"""How anything reaches the disk: whole or not at all.

A file is written under a temporary name in its own folder, flushed, synced, renamed, and the folder
is synced. A kill or a power cut leaves the old file or the new one; the most that stays behind is a
file whose name begins with TEMP, which `gc` removes.
"""

import errno
import json
import math
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from studio.core.errors import StoreError

TEMP = ".tmp-"
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


def temp_name(path: Path) -> Path:
    """An unused temporary name beside `path`."""
    return path.with_name(f"{TEMP}{secrets.token_hex(6)}-{path.name}")


def write_atomic(path: Path, data: bytes) -> None:
    """Makes `path` hold `data`. Raises StoreError, the old content untouched, where the disk refuses."""
    temp = temp_name(path)
    with clear_errors(path.parent):
        try:
            write_synced(temp, data)
            replace(temp, path)
        except BaseException:
            temp.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def write_synced(path: Path, data: bytes) -> None:
    """A new file, on the disk itself when this returns."""
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace(source: Path, target: Path, patience_s: float = 2.0) -> None:
    """os.replace; Windows refuses while someone reads the target, so there it tries again for a while."""
    give_up = time.monotonic() + patience_s
    while True:
        try:
            os.replace(source, target)
            return
        except PermissionError:
            if os.name != "nt" or time.monotonic() > give_up:
                raise
            time.sleep(0.02)


def sync_folder(folder: Path) -> None:
    """Makes a rename in `folder` last. Windows can't open folders and orders renames by itself."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems can't
            raise
    finally:
        os.close(handle)


@contextmanager
def clear_errors(folder: Path) -> Iterator[None]:
    """Turns an OSError of the body into a StoreError that says what to do."""
    try:
        yield
    except OSError as error:
        raise StoreError(explain(error, folder)) from error


def explain(error: OSError, folder: Path) -> str:
    """A sentence for a disk that refused to write into `folder`."""
    if error.errno in _FULL:
        return (
            f"The disk holding {folder} is full; what was being written is not there, but nothing stored before was "
            "lost. Free some space (`python launch.py gc` removes what nothing refers to), then try again."
        )
    if error.errno in _FORBIDDEN:
        return (
            f"{folder} can't be written ({error.strerror}); nothing was lost. "
            "Make it writable, or set STUDIO_HOME to a folder you may write to."
        )
    return f"{folder} can't be written ({error.strerror or error}); nothing stored before was lost."


def to_json(value: Any) -> bytes:
    """Readable JSON. NaN and infinity become null, tuples lists, NumPy numbers plain ones.

    Bytes of a file name that are no UTF-8 become `?`. Raises TypeError for what JSON has no word for.
    """
    text = json.dumps(as_json_data(value), ensure_ascii=False, indent=1, allow_nan=False)
    return text.encode(errors="replace") + b"\n"


def as_json_data(value: Any) -> Any:
    """`value` in the types that JSON knows."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, dict):
        return {str(key): as_json_data(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json_data(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy numbers and arrays
        return as_json_data(value.tolist())
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"a {type(value).__name__} can't be written as JSON: {value!r}")


def from_json(path: Path) -> Any:
    """What a JSON file holds. Raises StoreError where it is no readable JSON."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} can't be read ({error}).") from error
