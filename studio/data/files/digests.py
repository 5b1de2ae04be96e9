"""Content hashes of many images, remembered by (path, size, time) so that a second run need not read them."""

import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Container, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import TypeVar

import numpy as np

from studio.core.errors import StoppedByUser
from studio.core.home import Home
from studio.data.files.archives import Mark, ZipSource
from studio.data.files.prefetch import in_order
from studio.data.items import FileSource, ImageSource

SETTLED_NS = 3_000_000_000  # a file changed more recently may change again without its time showing it
ASKED = 500  # paths in one question to the memo
TOGETHER = 16  # images that a thread hashes in one go
Result = TypeVar("Result")


def digests(
    sources: Sequence[ImageSource],
    home: Home | None = None,
    workers: int = 4,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[str | None]:
    """SHA-256 of each image's content, None where it can't be read; with `home`, remembered there.

    Raises StoppedByUser; what was hashed until then is remembered.
    """
    memo = Memo(sources, home)
    result = list(memo.known)
    missing = [index for index, digest in enumerate(result) if digest is None]
    try:
        with ThreadPoolExecutor(max(1, workers)) as pool:
            hashed = in_order(pool, lambda index: _digest(sources[index]), missing, 32 * max(1, workers), TOGETHER)
            for index, digest in zip(missing, hashed, strict=True):
                if should_stop():
                    raise StoppedByUser("Stopped while the images were read for the first time.")
                result[index] = digest
                memo.note(index, digest)
    finally:
        memo.write()
    return result


def read_once(source: ImageSource, known: Container[str]) -> tuple[str, bytes | np.ndarray | None]:
    """Digest and content of an image; a file is read once for both.

    Of another source, whose digest is cheap, the content is None where the digest is `known`. Raises OSError.
    """
    if isinstance(source, FileSource | ZipSource):
        content = source.read()
        return hashlib.sha256(content).hexdigest(), content
    digest = source.digest()
    return digest, None if digest in known else source.read()


class Memo:
    """What was hashed before of these sources (`known`: None where nothing was), and where new hashes are noted.

    Without a home nothing is remembered.
    """

    def __init__(self, sources: Sequence[ImageSource], home: Home | None) -> None:
        self._home, self._settled_ns = home, time.time_ns() - SETTLED_NS
        self._marks = [_mark(source) for source in sources] if home else [None] * len(sources)
        self.known = _recall(home, self._marks)
        self._fresh: list[tuple[bytes, int, int, str]] = []

    def note(self, index: int, digest: str | None) -> None:
        """Remembers the digest of the source at `index`, unless its file was changed just now."""
        mark = self._marks[index]
        if digest is not None and mark is not None and mark[2] < self._settled_ns:
            self._fresh.append((*mark, digest))

    def write(self) -> None:
        _remember(self._home, self._fresh)
        self._fresh = []


def _digest(source: ImageSource) -> str | None:
    try:
        return source.digest()
    except OSError:
        return None


def _mark(source: ImageSource) -> Mark | None:
    """By what a change of the source would show; None for what is not in a file."""
    try:
        if isinstance(source, ZipSource):
            return source.archive.mark(source.name)
        if isinstance(source, FileSource):
            facts = os.stat(source.path)
            return os.fsencode(source.path.absolute()), facts.st_size, facts.st_mtime_ns
    except OSError:
        pass
    return None


def _recall(home: Home | None, marks: Sequence[Mark | None]) -> list[str | None]:
    paths = [mark[0] for mark in marks if mark is not None]

    def look(memo: sqlite3.Connection) -> list[str | None]:
        seen: dict[Mark, str] = {}
        for start in range(0, len(paths), ASKED):
            asked = paths[start : start + ASKED]
            query = f"select path, size, time, digest from seen where path in ({','.join('?' * len(asked))})"
            seen |= {(path, size, time_ns): digest for path, size, time_ns, digest in memo.execute(query, asked)}
        return [seen.get(mark) if mark is not None else None for mark in marks]

    return _with_memo(home, look) or [None] * len(marks)


def _remember(home: Home | None, rows: list[tuple[bytes, int, int, str]]) -> None:
    def note(memo: sqlite3.Connection) -> None:
        with memo:
            memo.executemany("insert or replace into seen values (?, ?, ?, ?)", rows)

    if rows:
        _with_memo(home, note)


def _with_memo(home: Home | None, use: Callable[[sqlite3.Connection], Result]) -> Result | None:
    """`use` of the table of what was seen; None where there is none. It only saves work: what goes wrong with it
    costs hashing again, and no more."""
    if home is None:
        return None
    path = home.features / "digests.sqlite"
    try:
        with closing(sqlite3.connect(path, timeout=10)) as memo:
            memo.execute(
                "create table if not exists seen (path blob primary key, size integer, time integer, digest text)"
            )
            return use(memo)
    except sqlite3.OperationalError:  # full, read-only, locked for long
        return None
    except sqlite3.DatabaseError:  # damaged; the next one makes it anew
        with suppress(OSError):
            path.unlink()
        return None
