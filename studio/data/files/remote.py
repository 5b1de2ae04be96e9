"""Files in a bucket, on the hub or behind a web address, read over fsspec through a cache on this disk.

`s3://`, `gs://`, `hf://`, `http://` and `https://`, for this machine's own user alone: what a visitor of a hosted page
names is never fetched.
"""

import hashlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from studio.core.addresses import complaint, file_system
from studio.core.errors import DataError, StudioError, one_line
from studio.core.rights import Rights
from studio.data.files.archives import Mark, ZipSource
from studio.data.files.byte_cache import ByteCache, cache_of
from studio.data.files.limits import Limits


class RemoteSource(ZipSource):
    """An image that is fetched when it is read."""

    far = True


class RemoteTree:
    """The files below an address, as they were when it was opened. Threads may share it."""

    def __init__(self, address: str, limits: Limits) -> None:
        """Lists the files. Raises DataError where that is not allowed, or nothing is there."""
        self.address = address.rstrip("/")
        self.path = PurePosixPath(self.address)
        self._files = RemoteFile(address, limits)
        self._facts: dict[str, tuple[int | None, str]] = {}
        for path, facts in self._files.walk():
            self._facts[path] = (facts.get("size"), _tag(facts))
            if len(self._facts) > limits.images:
                raise DataError(f"{address} holds more than {limits.images:,} files.")
        if not self._facts:
            raise DataError(f"There are no files below {address}.")

    @property
    def names(self) -> Collection[str]:
        return self._facts.keys()

    def sources(self) -> dict[str, ZipSource]:
        return {name: RemoteSource(self, name) for name in self._facts}

    def read(self, name: str, count: int = -1) -> bytes:
        size, tag = self._known(name)
        return self._files.read(name, size, tag)[: None if count < 0 else count]

    def size(self, name: str) -> int:
        size, _ = self._known(name)
        return len(self.read(name)) if size is None else size

    def packed_size(self, name: str) -> int:
        return max(1, self.size(name))

    def mark(self, name: str) -> Mark:
        return self._files.mark(f"/{name}", *self._known(name))

    def _known(self, name: str) -> tuple[int | None, str]:
        try:
            return self._facts[name]
        except KeyError:
            raise FileNotFoundError(f"there is no {name} below {self.address}") from None


def fetched(address: str, limits: Limits) -> Path:
    """A copy of one remote file in the cache. Raises DataError where it can't be had."""
    return RemoteFile(address, limits).file()


class RemoteFile:
    """One address, a file or a folder, over fsspec and through the cache."""

    def __init__(self, address: str, limits: Limits) -> None:
        require_local(address, limits.rights)
        self.address, self.limits = address, limits
        self.scheme = address.partition("://")[0].lower()
        self.cache: ByteCache = cache_of(limits.home)
        self._sends_whole = False  # some web servers know no ranges
        with self._clear():
            self.fs, self.root = file_system(address)

    def walk(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Paths below the address, and what its listing says of each; a folder at a time is in memory."""
        with self._clear():
            if not self.fs.exists(self.root) and not self.fs.ls(self.root, detail=False):
                raise FileNotFoundError
            folders = [self.root]
            while folders:  # the libraries' own walk passes over folders that can't be listed
                folder = folders.pop()
                for facts in self.fs.ls(folder, detail=True):
                    name = facts["name"].rstrip("/")
                    if name == folder or not name.startswith(f"{self.root}/"):
                        continue
                    if facts["type"] == "directory":
                        folders.append(name)
                    else:
                        yield name[len(self.root) + 1 :], facts

    def read(self, name: str, size: int | None, tag: str) -> bytes:
        """A file, from the cache where it is there. Raises OSError for it alone, DataError where nothing can be had."""
        if size is not None and size > self.limits.text_bytes:
            raise OSError(f"it has {size / 2**20:,.0f} MB, more than is fetched at once")
        path = f"{self.root}/{name}"

        def fetch() -> bytes:
            with self._clear(alone=True):
                content = self.fs.cat_file(path)
            if size is not None and len(content) != size:
                raise OSError(f"it has {len(content)} bytes, its listing says {size}")
            return content

        return self.cache.get(f"{self.scheme}://{path}\0{tag}", size, fetch)

    def mark(self, below: str, size: int | None, tag: str) -> Mark:
        """By what a change would show of what is `below` the address. Raises OSError where nothing would."""
        if not tag:
            raise OSError("nothing would show a change")
        number = int.from_bytes(hashlib.sha256(tag.encode()).digest()[:5], "big")  # in place of a time
        return f"{self.address}{below}".encode("utf-8", "surrogateescape"), size or 0, number

    def part(self, first: int, last: int, tag: str) -> bytes:
        """Bytes `first` to `last` of the address itself, from the cache where they are there."""

        def fetch() -> bytes:
            if not self._sends_whole:
                with self._clear(alone=True):
                    content = self.fs.cat_file(self.root, start=first, end=last)
                if len(content) == last - first:
                    return content
                self._sends_whole = True
            with open(self.file(), "rb") as copy:
                copy.seek(first)
                return copy.read(last - first)

        return self.cache.get(f"{self.address}\0{tag}\0{first}-{last}", last - first, fetch)

    def facts(self) -> tuple[int, str]:
        """Bytes of the address itself, and what would change with its content."""
        with self._clear():
            facts = self.fs.info(self.root)
        return int(facts.get("size") or 0), _tag(facts)

    def open(self) -> Any:
        """The address as a file that is read from its beginning to its end."""
        with self._clear():
            return self.fs.open(self.root, "rb", block_size=2**22)

    def file(self) -> Path:
        """A copy of the address itself in the cache. Raises DataError where it is larger than that may grow."""
        size, tag = self.facts()
        if size > self.cache.most_bytes:
            raise DataError(
                f"{self.address} has {size / 2**30:,.1f} GB, and {self.cache.most_bytes / 2**30:,.1f} GB are kept of "
                "what is fetched. Raise STUDIO_CACHE_GB, or put the files into a folder or shards there."
            )

        def fetch(path: Path) -> None:
            with self._clear():
                self.fs.get_file(self.root, str(path))

        try:
            return self.cache.file(f"{self.address}\0{tag}", fetch)
        except OSError as error:
            raise DataError(f"{self.address} can't be kept on this disk ({one_line(error)}).") from error

    @contextmanager
    def _clear(self, alone: bool = False) -> Iterator[None]:
        """Says what is wrong; of a file among others (`alone`) what concerns it only stays an OSError."""
        try:
            yield
        except StudioError:
            raise
        except FileNotFoundError as error:
            if alone:
                raise OSError("it is gone from where it was listed") from error
            raise DataError(f"data: {complaint(self.address, error)}") from error
        except Exception as error:  # each library has errors of its own
            raise DataError(f"data: {complaint(self.address, error)}") from error


def require_local(address: str, rights: Rights) -> None:
    """Raises DataError where who asks is a visitor of a hosted page: nothing is fetched for them."""
    if not rights.local:
        raise DataError(f"data: {address[:80]!r}: a page that is hosted for others fetches nothing from elsewhere.")


def _tag(facts: dict[str, Any]) -> str:
    """What changes with the content of a file, as its listing says; "" where it says nothing."""
    named = next(
        (facts[key] for key in ("ETag", "etag", "blob_id", "md5Hash", "LastModified", "mtime") if facts.get(key)), ""
    )
    return str(named)
