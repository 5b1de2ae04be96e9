"""Zip archives from outside: judged before anything is read, and never unpacked to disk.

No member is ever written, so none can climb out of a folder; an archive that tries is refused all the same.
"""

import hashlib
import os
import stat
import threading
import zipfile
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import Protocol

from studio.core.errors import DataError
from studio.data.files.limits import LIMITS, Limits
from studio.data.files.no_such import no_such

Mark = tuple[bytes, int, int]  # place, bytes, time of last change in ns


class Tree(Protocol):
    """Files by path that need not lie on this disk: an archive, shards, a bucket. Threads may share it."""

    path: PurePath  # its name for people

    @property
    def names(self) -> Collection[str]:
        """The paths of all files, with forward slashes."""

    def sources(self) -> "dict[str, ZipSource]":
        """All files by their path."""

    def read(self, name: str, count: int = -1) -> bytes:
        """The first `count` bytes of a file, or all. Raises OSError where it is damaged or not there."""

    def size(self, name: str) -> int:
        """Bytes of a file."""

    def packed_size(self, name: str) -> int:
        """Bytes that a file takes where it lies."""

    def mark(self, name: str) -> Mark:
        """By what a change of a file would show. Raises OSError."""


_DAMAGE = (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, ValueError)


class Archive:
    """An open zip whose members are all safe to read; threads may share it.

    Raises DataError for what is missing, damaged, encrypted, a bomb, or holds links or paths that lead out.
    """

    def __init__(self, path: Path, limits: Limits = LIMITS) -> None:
        if path.is_dir():
            raise DataError(f"{path} is a folder, not a zip file. For a folder of photos write folder:{path}")
        if not path.is_file():
            raise no_such(path)
        self.path = path
        self._lock = threading.Lock()
        self._file = _open_zip(path)
        for member in self._file.infolist():
            _refuse_unsafe(path.name, member)
        self._members = {
            member.filename.replace("\\", "/"): member for member in self._file.infolist() if not member.is_dir()
        }
        _refuse_bombs(path, self._file.infolist(), limits)

    def sources(self) -> dict[str, "ZipSource"]:
        """All files by their path in the archive, with forward slashes."""
        return {name: ZipSource(self, name) for name in self._members}

    @property
    def names(self) -> Collection[str]:
        """The paths of all files, with forward slashes."""
        return self._members.keys()

    def read(self, name: str, count: int = -1) -> bytes:
        """The first `count` bytes of a member, or all. Raises OSError where it is damaged or not there."""
        try:
            with self._lock, self._file.open(self._member(name)) as member:
                return member.read(None if count < 0 else count)
        except _DAMAGE as error:
            raise OSError(f"damaged in the zip: {error}") from error

    def _member(self, name: str) -> zipfile.ZipInfo:
        try:
            return self._members[name]
        except KeyError:
            raise FileNotFoundError(f"there is no {name} in {self.path.name}") from None

    def size(self, name: str) -> int:
        """Bytes of a member when unpacked."""
        return self._member(name).file_size

    def packed_size(self, name: str) -> int:
        """Bytes that a member takes in the archive, 1 at least."""
        return max(1, self._member(name).compress_size)

    def mark(self, name: str) -> Mark:
        """By what a change of the archive would show."""
        facts = os.stat(self.path)
        member = b"::" + name.encode("utf-8", "surrogateescape")
        return os.fsencode(self.path.absolute()) + member, facts.st_size, facts.st_mtime_ns


@dataclass(frozen=True, eq=False, slots=True)
class ZipSource:
    """An image file in a zip, or another tree."""

    archive: Tree
    name: str

    def read(self) -> bytes:
        return self.archive.read(self.name)

    def head(self, count: int) -> tuple[bytes, int]:
        """The first bytes, and the size of the whole file."""
        return self.archive.read(self.name, count), self.archive.size(self.name)

    def digest(self) -> str:
        return hashlib.sha256(self.read()).hexdigest()


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(path)
        encoding = _encoding(archive)
        return zipfile.ZipFile(path, metadata_encoding=encoding) if encoding else archive
    except (*_DAMAGE, OSError, NotImplementedError) as error:
        raise DataError(f"{path.name} is no readable zip file ({error}).") from error


def _encoding(archive: zipfile.ZipFile) -> str | None:
    """How names are written that don't say so: macOS writes UTF-8, a Chinese Windows GBK; None for old DOS names.

    GBK is believed only where GB 2312, whose bytes hardly occur in pairs in western names, fits every name.
    """
    unmarked = [name.orig_filename for name in archive.infolist() if not name.flag_bits & 0x800]
    names = [name.encode("cp437", "replace") for name in unmarked if not name.isascii()]
    for test, encoding in (("utf-8", "utf-8"), ("gb2312", "gbk")) if names else ():
        try:
            for name in names:
                name.decode(test)
            return encoding
        except UnicodeDecodeError:
            continue
    return None


def _refuse_unsafe(archive: str, member: zipfile.ZipInfo) -> None:
    name = member.filename.replace("\\", "/")
    if name.startswith("/") or ".." in PurePosixPath(name).parts or name[1:2] == ":":
        raise DataError(f"{archive} holds {member.filename!r}, a path that leads out of the archive. It is refused.")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise DataError(f"{archive} holds the link {member.filename!r}; links are refused. Pack the files themselves.")
    if member.flag_bits & 0x1:
        raise DataError(f"{archive} is encrypted ({member.filename!r}). Pack it without a password.")


def _refuse_bombs(path: Path, members: list[zipfile.ZipInfo], limits: Limits) -> None:
    if len(members) > limits.members:
        raise DataError(f"{path.name} holds {len(members):,} files, more than the {limits.members:,} allowed.")
    packed, unpacked = max(1, path.stat().st_size), sum(member.file_size for member in members)
    if unpacked > limits.unpacked_bytes:
        raise DataError(
            f"{path.name} would unpack to {unpacked / 2**30:,.1f} GB, more than the "
            f"{limits.unpacked_bytes / 2**30:,.1f} GB allowed."
        )
    if unpacked > limits.ratio_from and unpacked > limits.ratio * packed:
        raise DataError(
            f"{path.name} would unpack from {packed / 2**20:,.2f} MB to {unpacked / 2**20:,.0f} MB, more than "
            f"{limits.ratio} times its size: this looks like a zip bomb, and is refused. Photos hardly shrink at all."
        )
