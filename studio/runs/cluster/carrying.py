"""A run between two homes: what it needs goes to where it is worked on, what it leaves comes back as it is made.

Files are named by their place below a home: runs/ID/..., blobs/SHA-256, checkpoints/ID.json. A blob travels before the
manifest that names it and a figure before the event that tells of it, so whoever watches sees nothing half there.
"""

import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from studio.core.errors import StoreError
from studio.core.events import EventWriter
from studio.core.home import Home
from studio.store import RunFolder, Store
from studio.store.checkpoint import read_manifest
from studio.store.files import TEMP, write_atomic

LEFT = ("pixels", "alive.lock", "stop", "visitor", "events.jsonl")  # of a run: what stays, or travels line by line
TEXTS = (".yaml", ".jsonl")  # files of a run that name checkpoints
SHARED = re.compile(r"blobs/[0-9a-f]{64}|checkpoints/[A-Za-z0-9-]{1,80}\.json")


@dataclass
class News:
    """What has come since the last look: whole lines of events, and files of the run, of blobs and of checkpoints."""

    lines: bytes = b""
    changed: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)


class Away(Protocol):
    """The home where the run is worked on, as it is reached from here."""

    def missing(self, names: list[str]) -> list[str]: ...

    def put(self, name: str, data: bytes) -> None: ...

    def news(self) -> News: ...

    def content(self, name: str) -> bytes | None: ...


class Workplace:
    """A run in the home where it is worked on; an `Away` for those who are there."""

    def __init__(self, home: Home, run_id: str) -> None:
        """Clears what an earlier attempt left. Raises UsageError where that one still works on it."""
        self.home, self.run = home, RunFolder(home.runs / run_id)
        if self.run.path.exists():
            with self.run.hold():
                pass
            shutil.rmtree(self.run.path)
        self.run.path.mkdir()
        self._told, self._known = 0, dict[str, tuple[int, int]]()
        self._checkpoints = set(home.checkpoints.glob("*.json"))

    def missing(self, names: list[str]) -> list[str]:
        """Those that are not here."""
        return [name for name in names if not (self.home.root / name).is_file()]

    def put(self, name: str, data: bytes) -> None:
        path = place(self.home, self.run.id, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, data)
        if path == self.run.events_path:
            self._told = len(data)
        elif name.startswith("runs/"):
            self._known[name] = _stamp(path)

    def news(self) -> News:
        """Lines are read first: what they tell of was there before them."""
        lines = self._lines()
        now = {name: _stamp(self.home.root / name) for name in files_of(self.run, self.home)}
        changed = [name for name, stamp in now.items() if self._known.get(name) != stamp]
        gone = [name for name in self._known if name not in now]
        self._known = now
        return News(lines, [*changed, *self._left()], gone)

    def content(self, name: str) -> bytes | None:
        """What a file holds; None where it is gone again."""
        try:
            return place(self.home, self.run.id, name).read_bytes()
        except FileNotFoundError:
            return None

    def _lines(self) -> bytes:
        if not self.run.events_path.exists():
            return b""
        with open(self.run.events_path, "rb") as file:
            file.seek(self._told)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._told += len(whole)
        return whole

    def _left(self) -> list[str]:
        """Checkpoints of this run that are new, each behind its blobs."""
        names = []
        for path in sorted(set(self.home.checkpoints.glob("*.json")) - self._checkpoints):
            self._checkpoints.add(path)
            manifest = read_manifest(path)
            if manifest.lineage.get("run") == self.run.id:
                names += [*(f"blobs/{digest}" for digest in sorted(manifest.blobs())), f"checkpoints/{path.name}"]
        return names


def send(run: RunFolder, store: Store, away: Away) -> None:
    """Brings what the run needs to where it is worked on: its files, and each checkpoint that they name."""
    names = [*checkpoints_named(run, store), *files_of(run, store.home)]
    if run.events_path.exists():
        names.append(f"runs/{run.id}/{run.events_path.name}")
    for name in away.missing(names):
        away.put(name, (store.home.root / name).read_bytes())


def bring(run: RunFolder, store: Store, away: Away, events: EventWriter) -> News:
    """Takes what is new; the lines of events come last, as they were written."""
    news = away.news()
    for name in news.changed:
        path = place(store.home, run.id, name)
        shared = not name.startswith("runs/")
        if shared and path.is_file():
            continue
        content = away.content(name)
        if content is not None:
            _write(store, path, content, shared)
    for name in news.gone:
        place(store.home, run.id, name).unlink(missing_ok=True)
    events.append(news.lines)
    return news


def _write(store: Store, path: Path, content: bytes, shared: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not shared:
        write_atomic(path, content)
        return
    with store.changing():
        write_atomic(path, content)


def files_of(run: RunFolder, home: Home) -> list[str]:
    """The files of a run by name, but what stays where it is."""
    below = (path.relative_to(run.path) for path in sorted(run.path.rglob("*")) if path.is_file())
    kept = (path for path in below if path.parts[0] not in LEFT and not path.name.startswith(TEMP))
    return [f"runs/{run.id}/{path.as_posix()}" for path in kept]


def checkpoints_named(run: RunFolder, store: Store) -> list[str]:
    """Checkpoints whose ids stand in the run's files (its recipe, the cells of its table), and those they look through;
    each manifest behind its blobs."""
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in run.path.glob("*") if path.suffix in TEXTS]
    names = dict[str, None]()
    for path in sorted(store.home.checkpoints.glob("*.json")):
        if any(path.stem in text for text in texts):
            names |= dict.fromkeys(_with_base(path.stem, store))
    return list(names)


def _with_base(checkpoint_id: str, store: Store) -> Iterable[str]:
    manifest = store.checkpoint(checkpoint_id).manifest
    spec = str(manifest.backbone.get("spec") or "")
    if spec.startswith("store/"):
        yield from _with_base(spec.removeprefix("store/"), store)
    yield from (f"blobs/{digest}" for digest in sorted(manifest.blobs()))
    yield f"checkpoints/{checkpoint_id}.json"


def place(home: Home, run_id: str, name: str) -> Path:
    """Where a file lies. Raises StoreError for one that belongs neither to this run nor to checkpoints."""
    parts = PurePosixPath(name).parts
    inside = parts[:2] == ("runs", run_id) and len(parts) > 2 and ".." not in parts
    if not inside and not SHARED.fullmatch(name):
        raise StoreError(f"{name!r} is no file of run {run_id}; it is not taken.")
    return home.root / name


def _stamp(path: Path) -> tuple[int, int]:
    try:
        facts = path.stat()
    except FileNotFoundError:  # replaced at this moment: looked at again with the next news
        return (0, 0)
    return facts.st_size, facts.st_mtime_ns
