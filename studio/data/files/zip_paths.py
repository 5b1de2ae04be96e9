"""A place in a zip or another tree, with as much of `pathlib.Path` as the readers of annotations use.

Nothing is unpacked to disk.
"""

from collections.abc import Iterator
from fnmatch import fnmatch
from functools import total_ordering
from pathlib import Path, PurePosixPath
from types import SimpleNamespace

from studio.data.files.archives import Tree, ZipSource
from studio.data.items import FileSource, ImageSource


@total_ordering
class ZipPath:
    """A file or folder of an archive. Paths that would lead out of it name nothing."""

    def __init__(self, archive: Tree, path: PurePosixPath | str = ".") -> None:
        self.archive, self.path = archive, PurePosixPath(path)

    def __truediv__(self, more: object) -> "ZipPath":
        return ZipPath(self.archive, self.path / str(more).replace("\\", "/"))

    def __str__(self) -> str:
        return f"{self.archive.path.name}:{self.path}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ZipPath) and self.path == other.path

    def __lt__(self, other: "ZipPath") -> bool:
        return self.path < other.path

    def __hash__(self) -> int:
        return hash(self.path)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def stem(self) -> str:
        return self.path.stem

    @property
    def suffix(self) -> str:
        return self.path.suffix

    @property
    def parts(self) -> tuple[str, ...]:
        return self.path.parts

    @property
    def root(self) -> "ZipPath":
        """The whole archive."""
        return ZipPath(self.archive)

    @property
    def parent(self) -> "ZipPath":
        return ZipPath(self.archive, self.path.parent)

    def with_suffix(self, suffix: str) -> "ZipPath":
        return ZipPath(self.archive, self.path.with_suffix(suffix))

    def resolve(self) -> "ZipPath":
        """Without `..` and `.`; what would lead out of the archive becomes a path that nothing has."""
        out: list[str] = []
        for part in self.path.parts:
            if part == "..":
                if not out:
                    return ZipPath(self.archive, "/")
                out.pop()
            else:
                out.append(part)
        return ZipPath(self.archive, PurePosixPath(*out))

    def is_relative_to(self, other: "ZipPath") -> bool:
        return self.path.is_relative_to(other.path)

    def is_file(self) -> bool:
        return str(self.path) in self.archive.names

    def is_dir(self) -> bool:
        return any(True for _ in self._below())

    def exists(self) -> bool:
        return self.is_file() or self.is_dir()

    def glob(self, pattern: str) -> Iterator["ZipPath"]:
        """Files right here whose name fits."""
        return (file for file in self._below() if file.path.parent == self.path and fnmatch(file.name, pattern))

    def rglob(self, pattern: str) -> Iterator["ZipPath"]:
        """Files here and below whose name fits."""
        return (file for file in self._below() if fnmatch(file.name, pattern))

    def read_bytes(self) -> bytes:
        return self.archive.read(str(self.path))

    def read_text(self, encoding: str = "utf-8") -> str:
        return self.read_bytes().decode(encoding)

    def stat(self) -> SimpleNamespace:
        return SimpleNamespace(st_size=self.archive.size(str(self.path)))

    def _below(self) -> Iterator["ZipPath"]:
        start = "" if str(self.path) == "." else f"{self.path}/"
        return (ZipPath(self.archive, name) for name in self.archive.names if name.startswith(start))


AnyPath = Path | ZipPath


def source_of(path: AnyPath) -> ImageSource:
    """Where the bytes of the image at `path` are."""
    return ZipSource(path.archive, str(path.path)) if isinstance(path, ZipPath) else FileSource(path)
