"""Files fetched from elsewhere, kept on this disk under a size limit; those unused longest go first."""

import hashlib
import os
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from studio.core.errors import UsageError
from studio.core.home import Home

GB = 2**30
DEFAULT_GB = 20.0
LEFT = 0.9  # of the limit, after room was made


class ByteCache:
    """What was fetched, by a key that changes with its content. Any number of processes and threads share a folder."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.folder, self.most_bytes = folder, most_bytes
        self._held: int | None = (
            None  # bytes, counted when first asked; others may add, so it is counted again when full
        )
        self._lock = threading.Lock()

    def get(self, key: str, size: int | None, fetch: Callable[[], bytes]) -> bytes:
        """The content of `key`, fetched where it is not here, or not of this size. A full disk only means no copy."""
        path = self._path(key)
        with suppress(OSError):
            content = path.read_bytes()
            if size is None or len(content) == size:
                os.utime(path)
                return content
        content = fetch()
        with suppress(OSError):
            self._keep(path, content)
        return content

    def file(self, key: str, fetch: Callable[[Path], None]) -> Path:
        """A file with the content of `key`, which `fetch` writes. Raises OSError where the disk refuses."""
        path = self._path(key)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            temp = path.with_name(f".{secrets.token_hex(6)}")
            try:
                fetch(temp)
                os.replace(temp, path)
                self._make_room(path.stat().st_size)
            finally:
                temp.unlink(missing_ok=True)
        os.utime(path)
        return path

    def _path(self, key: str) -> Path:
        name = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
        return self.folder / name[:2] / name[2:]

    def _keep(self, path: Path, content: bytes) -> None:
        if len(content) > self.most_bytes:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        temp = path.with_name(f".{secrets.token_hex(6)}")
        try:
            temp.write_bytes(content)
            os.replace(temp, path)
        finally:
            temp.unlink(missing_ok=True)
        self._make_room(len(content))

    def _make_room(self, added: int) -> None:
        with self._lock:
            self._held = self._count() if self._held is None else self._held + added
            if self._held > self.most_bytes:
                self._held = self._evict()

    def _count(self) -> int:
        return sum(facts.st_size for _, facts in self._files())

    def _evict(self) -> int:
        """Removes what was unused longest; returns how many bytes are left."""
        files = sorted(self._files(), key=lambda file: file[1].st_mtime_ns)
        held = sum(facts.st_size for _, facts in files)
        for path, facts in files:
            if held <= LEFT * self.most_bytes:
                break
            with suppress(OSError):
                os.unlink(path)
                held -= facts.st_size
        return held

    def _files(self) -> list[tuple[str, os.stat_result]]:
        files = []
        for folder in self.folder.glob("??"):
            for entry in os.scandir(folder):
                with suppress(OSError):
                    files.append((entry.path, entry.stat()))
        return files


def cache_of(home: Home | None) -> ByteCache:
    """That of a home; STUDIO_CACHE_GB says how large it may grow. Raises UsageError for what is no number."""
    text = os.environ.get("STUDIO_CACHE_GB", "")
    try:
        most = float(text) if text else DEFAULT_GB
        if not 0 <= most < 1e9:
            raise ValueError
    except ValueError:
        raise UsageError(f"STUDIO_CACHE_GB is {text!r}; expected a number of gigabytes, such as 20.") from None
    return ByteCache((home or Home.find()).fetched, int(most * GB))
