"""Runs as the page shows them. Each look reads only the events that were written since the one before."""

import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from studio.core import recipe as recipes
from studio.core.events import FINAL, read_events
from studio.store import RunFolder

POINTS = 400  # points of a curve at most that travel to the browser
NOTES = 200  # of a run; `launch.py show` has all
TABLES = 100
RUNS = 64  # that are kept read; about 100 kB each


@dataclass
class View:
    """One run, read from its events."""

    run: str
    status: str = "queued"
    place: int | None = None  # in the queue; 1 is started next
    task: str = "classify"
    method: str = ""
    done: int = 0
    total: int = 0
    what: str = ""
    left_s: float | None = None  # of what it is doing, at the pace so far
    scalars: list[dict[str, Any]] = field(default_factory=list)  # {step, value, name}
    notes: list[str] = field(default_factory=list)
    error: str | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    tables: list[dict[str, Any]] = field(default_factory=list)
    figures: list[tuple[str, str]] = field(default_factory=list)  # (path, name)
    checkpoint: str | None = None
    recipe: str = ""
    end: int = 0  # byte of the event stream up to which this was read

    @property
    def over(self) -> bool:
        return self.status in FINAL


class Views:
    """What was read of the runs that were looked at last. Threads may share it."""

    def __init__(self, most: int = RUNS) -> None:
        self._most = most
        self._readers: OrderedDict[Path, Reader] = OrderedDict()
        self._lock = threading.Lock()

    def look(self, run: RunFolder) -> View:
        """The run as it is now; a worker that died is marked failed first."""
        with self._lock:
            reader = self._readers.setdefault(run.path, Reader(run))
            self._readers.move_to_end(run.path)
            while len(self._readers) > self._most:
                self._readers.popitem(last=False)
        return reader.look()


class Curve:
    """At most POINTS points of a curve, evenly chosen, the last one always among them."""

    def __init__(self) -> None:
        self._kept: list[dict[str, Any]] = []
        self._every, self._count = 1, 0
        self._last: dict[str, Any] | None = None

    def add(self, point: dict[str, Any]) -> None:
        if self._count % self._every == 0:
            self._kept.append(point)
            if len(self._kept) == POINTS:
                self._kept = self._kept[::2]
                self._every *= 2
        self._last = point
        self._count += 1

    @property
    def points(self) -> list[dict[str, Any]]:
        return self._kept if not self._last or self._kept[-1] is self._last else [*self._kept, self._last]


class Pace:
    """How fast the present part of a run goes, from where it was first seen."""

    def __init__(self) -> None:
        self._what, self._first, self._began = "", 0, 0.0

    def left_s(self, what: str, done: int, total: int, now: float) -> float | None:
        """Seconds for what is left, at the mean pace so far; None before there is one, and at the end."""
        if what != self._what or done < self._first:
            self._what, self._first, self._began = what, done, now
        if not self._first < done < total:
            return None
        return (now - self._began) / (done - self._first) * (total - done)


class Reader:
    """Reads one run's events piece by piece."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._begin()

    def look(self) -> View:
        with self._lock:
            self._read()
            status = self._run.status_after(self._seen.status)
            if status != self._seen.status:  # it was marked dead just now: so it is written
                self._read()
            seen = self._seen
            return replace(
                seen,
                status=status,
                scalars=[point for curve in self._curves.values() for point in curve.points],
                notes=list(self._notes),
                tables=list(self._tables),
                figures=[(path, name) for name, path in self._figures.items()],
            )

    def _begin(self) -> None:
        recipe = self._run.recipe()
        self._seen = View(self._run.id, task=recipe.task, method=recipe.method, recipe=recipes.to_yaml(recipe))
        self._curves: dict[str, Curve] = {}
        self._notes: deque[str] = deque(maxlen=NOTES)
        self._tables: deque[dict[str, Any]] = deque(maxlen=TABLES)
        self._figures: dict[str, str] = {}
        self._pace = Pace()

    def _read(self) -> None:
        events, end = read_events(self._run.events_path, self._seen.end)
        if not events and self._is_another_file():
            self._begin()
            events, end = read_events(self._run.events_path)
        for event in events:
            try:
                self._take(event)
            except (KeyError, TypeError, ValueError, AttributeError):  # damaged: the rest is still worth showing
                continue
        self._seen.end = end

    def _is_another_file(self) -> bool:
        try:
            return self._run.events_path.stat().st_size < self._seen.end
        except OSError:
            return self._seen.end > 0

    def _take(self, event: dict[str, Any]) -> None:
        seen, kind = self._seen, event["kind"]
        if kind == "progress":
            seen.what, seen.done, seen.total = str(event["what"]), int(event["done"]), int(event["total"])
            seen.left_s = self._pace.left_s(seen.what, seen.done, seen.total, float(event["t"]))
        elif kind == "scalar" and event["value"] is not None:
            point = {"step": event["step"], "value": float(event["value"]), "name": str(event["name"])}
            self._curves.setdefault(point["name"], Curve()).add(point)
        elif kind in ("note", "warning"):
            self._notes.append(str(event["message"]))
        elif kind == "error":
            seen.error = str(event["message"])
        elif kind == "metrics":
            seen.metrics = dict(event["metrics"])
        elif kind == "table":
            rows = [list(row) for row in event["rows"]]
            self._tables.append({**event, "name": str(event["name"]), "columns": list(event["columns"]), "rows": rows})
        elif kind == "figure":
            self._take_figure(str(event["name"]), str(event["path"]))
        elif kind == "checkpoint":
            seen.checkpoint = str(event["checkpoint"])
        elif kind == "status":
            seen.status = str(event["status"])
            if seen.status == "running":
                seen.error = None  # a resumed run starts clean
                self._pace = Pace()

    def _take_figure(self, name: str, path: str) -> None:
        """The newest figure of each name, where it lies in the run's folder."""
        folder = self._run.path.resolve()
        file = (folder / path).resolve()
        if file.is_relative_to(folder) and file.is_file():
            self._figures.pop(name, None)
            self._figures[name] = str(file)
