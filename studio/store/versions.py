"""Named versions of data sets: which images a set had and what was true of each, by content.

`NAME.jsonl` in the home's `versions/` is written once: a line of facts about the whole, then a line an image. The
images themselves are blobs, named by the SHA-256 of their bytes, so what two versions share is on the disk once.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from studio.core.errors import StoreError, UsageError, nearest
from studio.core.home import Home
from studio.store.files import as_json_data, clear_errors, write_atomic

NAME = re.compile(r"\w[\w.-]{0,63}")
MOST = 500  # versions of one who asks
SHORT = 12  # digits of a content hash that are shown, and that a data spec names
_DIGEST, _SHA256 = re.compile(rb'"([0-9a-f]{64})"'), re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Entry:
    """One image of a version: its name, the blob of its bytes, its split if it has one.

    `size` are the bytes of all its blobs: of the image itself, of its mask and of the same view in another look.
    `truth` says what is true of it, in names of classes: {"label": name}, {"boxes": [[name, x1, y1, x2, y2, ignore],
    ...]}, {"mask": blob of a PNG of class indices}, {"pair": blob of the same view in another look}; beside it stand
    {"domain": ...}, {"camera": ...}, {"frame": ...}.
    """

    name: str
    image: str
    size: int
    split: str | None = None
    truth: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """What is said of a whole version: of which data it was made, when, its classes, how many images, their bytes.

    `content` is the SHA-256 of everything that a run could learn from it: equal content, equal hash. `left_out` says
    how many images of the data it was saved without, by what was wrong with them.
    """

    version: str
    data: str
    created: str
    classes: list[str]
    splits: list[str]
    images: int
    bytes: int
    content: str
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def short(self) -> str:
        return self.content[:SHORT]

    @property
    def spec(self) -> str:
        """The data spec that means this version and no later one of its name."""
        return f"version:{self.version}?content={self.short}"


def versions(home: Home) -> list[Facts]:
    """The versions of whom the home is opened for, newest first; one that can't be read is left out."""
    return sorted(
        _readable(home.versions.glob("*.jsonl")), key=lambda facts: (facts.created, facts.version), reverse=True
    )


def facts_of(home: Home, name: str) -> Facts:
    """Raises UsageError for a name that is none or not there, StoreError for a damaged file."""
    return _facts(_path(home, name, known=True))


def entries_of(home: Home, name: str) -> list[Entry]:
    """The images of a version. Raises UsageError, StoreError as `facts_of`."""
    path = _path(home, name, known=True)
    try:
        with open(path, encoding="utf-8") as file:
            next(file)
            return [Entry(**json.loads(line)) for line in file]
    except (OSError, ValueError, TypeError, StopIteration) as error:
        raise StoreError(f"{path} is damaged ({error}). Save the version again under another name.") from error


def parsed(name: str, content: bytes) -> tuple[Facts, list[Entry]]:
    """What a version's file says that came from elsewhere. Raises StoreError where it is not as it was written."""
    try:
        first, *lines = content.decode("utf-8").splitlines()
        facts, entries = Facts(**json.loads(first)), [Entry(**json.loads(line)) for line in lines]
        whole = content_of(facts.classes, entries) == facts.content and len(entries) == facts.images
        if not whole or facts.version != name or not all(map(_SHA256.fullmatch, blobs_of(entries))):
            raise ValueError("its content is another one than it says")
    except (ValueError, TypeError, AttributeError) as error:
        raise StoreError(f"version {name} is damaged ({error}); push it again.") from error
    return facts, entries


def blobs_of(entries: Iterable[Entry]) -> set[str]:
    """The blobs that some images need: their own, those of masks and of the same view in another look."""
    return {blob for entry in entries for blob in (entry.image, *_blobs_of_truth(entry)) if blob}


def require_free(home: Home, name: str) -> None:
    """Raises UsageError where no version can be saved under this name."""
    if _path(home, name).exists():
        raise UsageError(f"version: there is a version {name!r} already. Choose another name; versions never change.")
    if len(list(home.versions.glob("*.jsonl"))) >= MOST:
        raise UsageError(f"version: there are {MOST} versions already. Delete one first.")


def keep(
    home: Home, name: str, data: str, classes: list[str], splits: list[str], entries: Iterable[Entry],
    left_out: Mapping[str, int] | None = None,
) -> Facts:  # fmt: skip
    """Writes a version; its blobs are there, and the store's lock is held. Raises as `require_free`, and StoreError."""
    require_free(home, name)
    entries = list(entries)
    size = sum({(entry.image, *_blobs_of_truth(entry)): entry.size for entry in entries}.values())
    created, content = datetime.now(UTC).isoformat(timespec="seconds"), content_of(classes, entries)
    facts = Facts(name, data, created, classes, splits, len(entries), size, content, dict(left_out or {}))
    with clear_errors(home.root):
        home.versions.mkdir(parents=True, exist_ok=True)
    write_atomic(_path(home, name), b"".join(_line(asdict(one)) for one in (facts, *entries)))
    return facts


def delete(home: Home, name: str) -> None:
    """Forgets a version; `gc` frees what no other needs. Raises UsageError where there is none of this name."""
    with clear_errors(home.root):
        _path(home, name, known=True).unlink()


def content_of(classes: list[str], entries: Iterable[Entry]) -> str:
    """SHA-256 of names, images, splits and truths in whatever order, and of the order of classes."""
    digest = hashlib.sha256(_line(classes))
    for entry in sorted(entries, key=lambda entry: entry.name):
        digest.update(_line([entry.name, entry.image, entry.split, entry.truth]))
    return digest.hexdigest()


def bytes_of_versions(home: Home) -> int:
    """What the images of all versions take of whom the home is opened for: what they share counts once for each."""
    return sum(facts.bytes for facts in versions(home))


def bytes_of_all(home: Home) -> int:
    """The same of everybody, visitors and this machine's user."""
    return sum(facts.bytes for facts in _readable(_all(home)))


def blobs_of_all(home: Home) -> set[str]:
    """The blobs that somebody's version names. Raises StoreError where one can't be read."""
    with clear_errors(home.root):
        return {match.decode() for path in _all(home) for match in _DIGEST.findall(path.read_bytes())}


def faults(home: Home) -> Iterator[tuple[str, str]]:
    """(version, what is wrong with it): a damaged file, or images that are not there."""
    for path in sorted(home.versions.glob("*.jsonl")) if home.versions.is_dir() else []:
        try:
            entries = entries_of(home, path.stem)
            if content_of(_facts(path).classes, entries) != _facts(path).content:
                yield path.stem, f"{path} is not as it was written. Save the version again under another name"
        except StoreError as error:
            yield path.stem, str(error)
            continue
        missing = [entry.name for entry in entries if not (home.blobs / entry.image).is_file()]
        if missing:
            yield path.stem, f"{len(missing)} images are missing, such as {missing[0]}"


def _blobs_of_truth(entry: Entry) -> tuple[str, ...]:
    return tuple(entry.truth.get(key, "") for key in ("mask", "pair"))


def _readable(paths: Iterable[Path]) -> Iterator[Facts]:
    """The facts of those that can be read; `verify` tells of the others."""
    for path in paths:
        with suppress(StoreError):
            yield _facts(path)


def _all(home: Home) -> list[Path]:
    return list((home.root / "versions").rglob("*.jsonl"))


def _path(home: Home, name: str, known: bool = False) -> Path:
    if not NAME.fullmatch(name):
        raise UsageError(
            f"version: {name[:80]!r} can't be the name of a version. Expected 1 to 64 letters, digits, _, - and dots, "
            "such as photos-1."
        )
    path = home.versions / f"{name}.jsonl"
    if known and not path.is_file():
        names = [facts.version for facts in versions(home)]
        advice = nearest(name, names) or " `launch.py data save NAME DATA` makes one."
        raise UsageError(f"version: there is no version {name!r}.{advice}")
    return path


def _facts(path: Path) -> Facts:
    try:
        with open(path, encoding="utf-8") as file:
            return Facts(**json.loads(file.readline()))
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(f"{path} is damaged ({error}). Save the version again under another name.") from error


def _line(value: Any) -> bytes:
    text = json.dumps(as_json_data(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace") + b"\n"
