"""Which image an annotation means: by the name it gives, as that is written on other machines and by other tools.

A name is taken as it stands where such a file is there. Else slashes, `%20`, case, the form of accents and folders
of another machine may differ, as long as exactly one file is left; where several could be meant, none is taken.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from unicodedata import normalize
from urllib.parse import unquote, urlsplit

from studio.data.files.images import SUFFIXES
from studio.data.files.layout import SPLITS
from studio.data.files.zip_paths import AnyPath, ZipPath

UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")  # what Label Studio puts before the name of a file that was uploaded
SAMPLE = 200  # names that tell which folder is meant
LINKED = "d="  # Label Studio's /data/local-files/?d=path


@dataclass(frozen=True)
class Found:
    """The image that is meant (None: no one file), why none is, and whether its name was written otherwise."""

    path: AnyPath | None
    reason: str = ""
    respelled: bool = False


class ImageFinder:
    """Finds images below `roots`; of two with one name, that of the earlier root is meant.

    Every root is walked once, when a name is first not there as it stands. Links are followed: a name must not lead
    out of its root, but where a link points is its owner's business.
    """

    def __init__(self, roots: Sequence[AnyPath], outward: bool = False) -> None:
        self.roots = list(dict.fromkeys(roots))
        self.outward = outward
        self._index: dict[str, list[tuple[tuple[str, ...], AnyPath]]] | None = None

    def settled(self, names: Iterable[str]) -> "ImageFinder":
        """One that looks only below the root where most of these names are, as they stand; itself if none are.

        Of two folders with equal names (train/0.jpg, valid/0.jpg) the other's are not taken for what one lacks.
        """
        asked = list(dict.fromkeys(name.strip() for name in names if name.strip()))
        some = asked[:: max(1, len(asked) // SAMPLE)]
        hits = [
            sum((path := _below(root, name)) is not None and _is_file(path) for name in some) for root in self.roots
        ]
        return ImageFinder([self.roots[hits.index(max(hits))]], self.outward) if any(hits) else self

    def find(self, name: str) -> Found:
        """The image that `name` (a path, a URL, a bare name with or without suffix) stands for."""
        written = name.strip()
        if not written:
            return Found(None, "it names no image")
        for root in self.roots:
            path = _below(root, written)
            if path is not None and _is_file(path):
                return Found(path)
        parts = _parts(written)
        if not self.outward and _leads_out(written):
            return Found(None, "its path leads out of the folder of images")
        if not parts:
            return Found(None, f"{written[:80]!r} names no image")
        last = parts[-1]
        for wanted in (parts, (*parts[:-1], UPLOADED.sub("", last))) if UPLOADED.match(last) else (parts,):
            for key in (wanted[-1], _stem(wanted[-1])):
                paths = _closest(self._images().get(key, []), wanted)
                if len(paths) == 1:
                    return Found(paths[0], respelled=True)
                if paths:
                    names = ", ".join(sorted(str(path) for path in paths)[:3])
                    return Found(None, f"several images could be meant: {names}")
        return Found(None, self._missing())

    def files(self) -> list[AnyPath]:
        """All images below the roots, each once."""
        return list(dict.fromkeys(path for entries in self._images().values() for _, path in entries))

    def _missing(self) -> str:
        return f"the image is missing in {', '.join(map(str, self.roots[:2]))}"

    def _images(self) -> dict[str, list[tuple[tuple[str, ...], AnyPath]]]:
        """Images by name and by stem, in one spelling, with the parts of their paths in it."""
        if self._index is None:
            self._index = defaultdict(list)
            seen: set[AnyPath] = set()
            for root in self.roots:
                for path, below in walk_files(root):
                    if path in seen or PurePosixPath(below).suffix.lower() not in SUFFIXES:
                        continue
                    seen.add(path)
                    parts = _parts(below, plain=True)
                    self._index[parts[-1]].append((parts, path))
                    self._index[_stem(parts[-1])].append((parts, path))
        return self._index


def own_or_named(finder: ImageFinder, file: AnyPath, named: str, beside: dict[str, list[AnyPath]]) -> Found:
    """The image of an annotation that has a file of its own, which also names one inside.

    An image with the file's own name wins over another that is named inside, for files are renamed together with
    their images and the inside stays. `beside` maps stems, as they stand, to the images that have them.
    """
    inside = finder.find(named) if named.strip() else Found(None)
    own = beside.get(normalize("NFC", file.stem), [])
    if inside.path is not None and (inside.path in own or not own):
        return inside
    if len(own) == 1:
        return Found(own[0], respelled=inside.path is not None and inside.path != own[0])
    if len(own) > 1:
        return Found(None, f"several images could be meant: {', '.join(path.name for path in own[:3])}")
    loose = finder.find(file.stem)
    return loose if loose.path is not None or not named.strip() else inside


def walk_files(root: AnyPath) -> Iterator[tuple[AnyPath, str]]:
    """All files below a folder, hidden ones left out, with their posix path below it. Links are followed once."""
    if isinstance(root, ZipPath):
        for path in sorted(root.rglob("*")):
            below = path.path.relative_to(root.path)
            if not is_hidden(str(below)):
                yield path, str(below)
        return
    seen = {os.path.realpath(root)}
    for folder, folders, names in os.walk(root, followlinks=True):
        kept = []
        for name in sorted(folders):
            real = os.path.realpath(os.path.join(folder, name))
            if not name.startswith(".") and name != "__MACOSX" and real not in seen:
                seen.add(real)
                kept.append(name)
        folders[:] = kept
        place, below = Path(folder), Path(folder).relative_to(root).as_posix()
        prefix = "" if below == "." else f"{below}/"
        for name in sorted(names):
            if not name.startswith("."):
                yield place / name, prefix + name


def is_hidden(below: str) -> bool:
    """Whether a posix path leads through what operating systems hide."""
    return any(part.startswith(".") or part == "__MACOSX" for part in below.split("/"))


def beside(paths: Sequence[AnyPath]) -> dict[str, list[AnyPath]]:
    """Images by their stem."""
    out: dict[str, list[AnyPath]] = defaultdict(list)
    for path in paths:
        out[normalize("NFC", path.stem)].append(path)
    return out


def _below(root: AnyPath, name: str) -> AnyPath | None:
    """`root/name` as it is written; None where that leads out of the root."""
    pure = PurePosixPath(name)
    if _leads_out(name):
        return None
    if pure.is_absolute():
        return Path(name) if isinstance(root, Path) and Path(name).is_relative_to(root) else None
    return root / str(pure)


def _leads_out(name: str) -> bool:
    """Whether a name climbs above the folder that it starts from."""
    depth = 0
    for part in PurePosixPath(name.replace("\\", "/")).parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return True
    return False


def _is_file(path: AnyPath) -> bool:
    try:
        return path.resolve().is_file() if isinstance(path, ZipPath) else path.is_file()
    except (OSError, ValueError):  # too long for a name, or with a zero byte
        return False


def _parts(name: str, plain: bool = False) -> tuple[str, ...]:
    """The parts of a path in one spelling: slashes, no `%20`, NFC, one case; without drive, host and dots."""
    if not plain:
        name = name.replace("\\", "/")
        if "://" in name:
            try:
                name = urlsplit(name).path
            except ValueError:
                return ()
        if "?" in name:
            head, _, query = name.partition("?")
            name = next((pair[len(LINKED) :] for pair in query.split("&") if pair.startswith(LINKED)), head)
        name = re.sub(r"^[A-Za-z]:/", "", name)
        name = unquote(name)
    name = normalize("NFC", normalize("NFC", name).casefold())
    return tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", ".", ".."))


def _stem(name: str) -> str:
    """A name without the suffix of an image, in angle brackets: no file is called so."""
    path = PurePosixPath(name)
    return f"<{path.stem if path.suffix in SUFFIXES else name}>"


def _closest(entries: list[tuple[tuple[str, ...], AnyPath]], wanted: tuple[str, ...]) -> list[AnyPath]:
    """Those whose folders agree with most of the wanted ones, from the right."""
    agreeing = [
        (_agreement(parts[:-1], wanted[:-1]), path)
        for parts, path in entries
        if not _other_split(parts[:-1], wanted[:-1])
    ]
    most = max((count for count, _ in agreeing), default=0)
    return list(dict.fromkeys(path for count, path in agreeing if count == most))


def _other_split(first: tuple[str, ...], second: tuple[str, ...]) -> bool:
    """Whether both say which split they are of, and not the same: train/0.jpg is not valid/0.jpg."""
    splits = [{SPLITS[part] for part in parts if part in SPLITS} for parts in (first, second)]
    return all(splits) and not splits[0] & splits[1]


def _agreement(first: tuple[str, ...], second: tuple[str, ...]) -> int:
    count = 0
    while count < min(len(first), len(second)) and first[-1 - count] == second[-1 - count]:
        count += 1
    return count
