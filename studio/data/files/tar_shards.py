"""Shards: tar files that hold images one after another, on disk or elsewhere. They are indexed, never unpacked.

A shard is gone through once to learn where each member lies, and for one that is far away the index is remembered; from
then on a member is one read. Members that are links or whose path leads out are refused, as in a zip.
"""

import hashlib
import os
import tarfile
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from studio.core.addresses import is_remote
from studio.core.errors import DataError, StoreError, one_line
from studio.data.files.archives import Mark, ZipSource
from studio.data.files.limits import Limits
from studio.data.files.no_such import no_such
from studio.data.files.remote import RemoteFile, RemoteSource
from studio.store.files import from_json, to_json, write_atomic

SMALL, TEXTS = 4096, (".cls", ".txt", ".json")  # bytes of members that are kept in the index, and which
PACKED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ")  # how gzip, zstd, bzip2 and xz begin
BLOCK = tarfile.BLOCKSIZE


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a shard: where its bytes begin, how many there are, and they themselves where they are a few words."""

    name: str
    start: int
    size: int
    words: str | None = None  # latin-1


class Shard:
    """One tar file. Raises DataError where it is missing, compressed or unsafe.

    `members` are those that are whole; `damage` says where it is damaged, in words.
    """

    def __init__(self, place: str, limits: Limits) -> None:
        self.name = PurePosixPath(place.replace("\\", "/")).name
        self.far, self._limits, self._place = is_remote(place), limits, place
        if self.far:
            self._remote = RemoteFile(place, limits)
            self.size, self._tag = self._remote.facts()
            self.members, self.damage = self._remembered()
            return
        self._path = Path(place).expanduser()
        limits.rights.require(self._path, "data")
        if not self._path.is_file():
            raise no_such(self._path)
        facts = self._path.stat()
        self.size, self._changed_ns = facts.st_size, facts.st_mtime_ns
        with open(self._path, "rb") as file:
            self.members, self.damage = index(file, self.name, self.size, limits)

    def read(self, member: Member, count: int = -1) -> bytes:
        """The first `count` bytes of a member, or all. Raises OSError."""
        if member.size > self._limits.file_bytes:
            raise OSError(f"it has {member.size / 2**20:,.0f} MB, more than is allowed")
        if self.far:  # whole, so that it is at hand for the next one
            whole = self._remote.part(member.start, member.start + member.size, self._tag)
            return whole[: None if count < 0 else count]
        with open(self._path, "rb") as file:
            file.seek(member.start)
            return file.read(member.size if count < 0 else min(count, member.size))

    def mark(self, member: Member) -> Mark:
        """By what a change of the shard would show. Raises OSError where nothing would."""
        if self.far:
            return self._remote.mark(f"::{member.start}", self.size, self._tag)
        return os.fsencode(self._path.absolute()) + b"::%d" % member.start, self.size, self._changed_ns

    def _remembered(self) -> tuple[list[Member], list[str]]:
        """The index as it was made before, else made now."""
        key = hashlib.sha256(f"{self._place}\0{self._tag}\0{self.size}".encode()).hexdigest()
        file = self._remote.cache.folder / "shards" / f"{key}.json"
        with suppress(StoreError, KeyError, TypeError):
            known = from_json(file)
            return [Member(*row) for row in known["members"]], known["damage"]
        with self._remote.open() as opened:
            members, damage = index(opened, self.name, self.size, self._limits)
        rows = [[member.name, member.start, member.size, member.words] for member in members]
        with suppress(StoreError, OSError):  # it only saves work
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(file, to_json({"members": rows, "damage": damage}))
        return members, damage


def index(file: BinaryIO, name: str, size: int, limits: Limits) -> tuple[list[Member], list[str]]:
    """The whole files of a tar of `size` bytes, and in words where it is damaged. Raises DataError where unsafe."""
    begin = file.read(8)
    file.seek(0)
    if begin.startswith(PACKED):
        raise DataError(f"{name} is compressed; its images are already. Write it as a plain .tar.")
    members, damage, end, before = list[Member](), list[str](), 0, "its beginning"
    try:
        # what is no header is passed over until the next one: the gap shows
        with tarfile.open(fileobj=file, mode="r:", ignore_zeros=True) as tar:
            for info in tar:
                _refuse_unsafe(name, info)
                if info.offset > end:
                    damage.append(f"{name} is damaged between {before} and {info.name}")
                end = info.offset_data + -(-info.size // BLOCK) * BLOCK if info.isreg() else info.offset_data
                before = info.name
                if info.isreg() and info.offset_data + info.size <= size:
                    members.append(_member(tar, info))
                if len(members) > limits.members:
                    raise DataError(f"{name} holds more than the {limits.members:,} files allowed.")
                tar.members = []  # it would keep every one
    except (tarfile.TarError, EOFError, ValueError) as error:
        if not members:
            raise DataError(f"{name} is no readable tar file ({one_line(error, 80)}).") from error
        if end <= size:
            return members, [*damage, f"{name} is damaged behind {before} ({one_line(error, 80)})"]
    if not members:
        raise DataError(f"{name} is no tar file, or holds no files.")
    if end > size:
        damage.append(f"{name} is cut short in {before}")
    else:
        file.seek(end)
        if file.read(1 << 20).strip(b"\0"):
            damage.append(f"{name} is damaged behind {before}")
    return members, damage


def _member(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    words = None
    if info.size <= SMALL and info.name.lower().endswith(TEXTS):
        content = tar.extractfile(info)
        words = content.read().decode("latin-1") if content is not None else None
    return Member(str(PurePosixPath(info.name)), info.offset_data, info.size, words)


def _refuse_unsafe(shard: str, info: tarfile.TarInfo) -> None:
    name = info.name.replace("\\", "/")
    if name.startswith("/") or ".." in PurePosixPath(name).parts or name[1:2] == ":":
        raise DataError(f"{shard} holds {info.name!r}, a path that leads out of the archive. It is refused.")
    if not (info.isreg() or info.isdir()) or info.issparse():
        raise DataError(f"{shard} holds {info.name!r}, which is no plain file; links and devices are refused.")


class Shards:
    """The files of several shards by path, as one tree. Of two of one name the first is taken, `twice` names the other.

    Where `prefixed`, the shard's own name stands before each path.
    """

    def __init__(self, name: str, shards: Sequence[Shard], prefixed: bool = False) -> None:
        self.path, self.twice = PurePosixPath(name), list[str]()
        self._members: dict[str, tuple[Shard, Member]] = {}
        for shard in shards:
            for member in shard.members:
                path = f"{PurePosixPath(shard.name).stem}/{member.name}" if prefixed else member.name
                if path in self._members:
                    self.twice.append(f"{path} in {shard.name}")
                self._members.setdefault(path, (shard, member))

    @property
    def names(self) -> Collection[str]:
        return self._members.keys()

    def sources(self) -> dict[str, ZipSource]:
        return {
            name: RemoteSource(self, name) if shard.far else ZipSource(self, name)
            for name, (shard, _) in self._members.items()
        }

    def shard_of(self, name: str) -> str:
        """The name of the shard that a file is in, without its ending."""
        return PurePosixPath(self._find(name)[0].name).stem

    def words(self, name: str) -> str | None:
        """What a small text file says; None for any other file."""
        return self._members[name][1].words if name in self._members else None

    def read(self, name: str, count: int = -1) -> bytes:
        shard, member = self._find(name)
        return shard.read(member, count)

    def size(self, name: str) -> int:
        return self._find(name)[1].size

    def packed_size(self, name: str) -> int:
        return max(1, self.size(name))

    def mark(self, name: str) -> Mark:
        shard, member = self._find(name)
        return shard.mark(member)

    def _find(self, name: str) -> tuple[Shard, Member]:
        try:
            return self._members[name]
        except KeyError:
            raise FileNotFoundError(f"there is no {name} in {self.path.name}") from None
