"""`zip:FILE`: the layout of a folder, read without unpacking anything to disk.

Since no member is ever written, none can climb out of a folder; such names are refused all the same.
"""

import hashlib
import stat
import threading
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from studio.core.errors import DataError
from studio.data.items import Dataset
from studio.data.readers.layout import HEAD, dataset_of

MAX_MEMBERS = 200_000
MAX_TOTAL = 64 * 2**30  # bytes when unpacked
MAX_MEMBER = 512 * 2**20
MAX_RATIO = 200  # unpacked to packed; photos hardly shrink, bombs are thousands to one
RATIO_FROM = 2**20  # below this much unpacked data a high ratio does no harm


@dataclass(frozen=True)
class ZipSource:
    """A member of a zip; the open file is shared under a lock."""

    archive: zipfile.ZipFile = field(hash=False, compare=False)
    lock: threading.Lock = field(hash=False, compare=False)
    name: str

    def read(self) -> bytes:
        try:
            with self.lock:
                return self.archive.read(self.name)
        except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError) as error:
            raise OSError(f"damaged in the zip: {error}") from error

    def digest(self) -> str:
        return hashlib.sha256(self.read()).hexdigest()


def read(rest: str, options: dict[str, str]) -> Dataset:
    """Raises DataError for a missing, damaged, unsafe or empty archive."""
    path = Path(rest).expanduser()
    archive, lock = open_archive(path), threading.Lock()
    sizes = {info.filename: info.file_size for info in archive.infolist() if not info.is_dir()}

    def head(name: str) -> tuple[bytes, int]:
        try:
            with lock, archive.open(name) as member:
                return member.read(HEAD), sizes[name]
        except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, OSError):
            return b"", 0

    return dataset_of(f"zip:{rest}", sizes, lambda name: ZipSource(archive, lock, name), head)


def open_archive(path: Path) -> zipfile.ZipFile:
    """An open zip whose members are all safe to read. Raises DataError."""
    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{path.name} is no readable zip file ({error}).") from error
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise DataError(f"{path.name} holds {len(members):,} files, more than the {MAX_MEMBERS:,} allowed.")
    for member in members:
        _refuse_unsafe(path.name, member)
    total = sum(member.file_size for member in members)
    packed = max(1, path.stat().st_size)
    if total > MAX_TOTAL or (total > RATIO_FROM and total / packed > MAX_RATIO):
        raise DataError(
            f"{path.name} would unpack from {packed / 2**20:.1f} to {total / 2**20:,.0f} MB: this looks like a zip "
            f"bomb. Allowed are {MAX_TOTAL / 2**30:.0f} GB in all and {MAX_RATIO} times the packed size."
        )
    return archive


def _refuse_unsafe(archive: str, member: zipfile.ZipInfo) -> None:
    name = member.filename.replace("\\", "/")
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or (len(name) > 1 and name[1] == ":"):
        raise DataError(f"{archive} holds {member.filename!r}, a path that leads out of the archive. It is refused.")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise DataError(f"{archive} holds the link {member.filename!r}; links are refused. Pack the files themselves.")
    if member.flag_bits & 0x1:
        raise DataError(f"{archive} is encrypted ({member.filename!r}). Pack it without a password.")
    if member.file_size > MAX_MEMBER:
        raise DataError(f"{archive}: {member.filename!r} would unpack to {member.file_size / 2**20:,.0f} MB.")
