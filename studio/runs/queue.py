"""The queue of a home: runs filed from the page wait here and are started first come first served.

The table is a small JSON file, changed under one file lock, so that what waits outlives every process. A
run at work is in it too, however it was started, and is believed only while its worker holds the run's
own lock: a killed worker's slot is free at once. What waits is started by `studio.runs.keeper`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from studio.core.errors import StoreError, StudioError, UsageError
from studio.core.events import EventWriter
from studio.core.files import read_json
from studio.core.home import Home
from studio.core.recipe import Recipe
from studio.runs.affordable import require_time
from studio.runs.processes import spawn
from studio.store import RunFolder, Store
from studio.store.files import clear_errors, to_json, write_atomic

PROCESS_GB = 1.0  # of host memory that a worker takes beside what it leases: torch, decoded images
FOLLOWED = 16  # runs on clusters that are followed at once, each by a light process here


@dataclass(frozen=True)
class Entry:
    """One run of the table: filed, and once `started` at work."""

    run: str
    memory_gb: float
    processes: int
    owner: str | None = None  # a visitor of a hosted page; None is this machine's own user
    resume: bool = False
    started: bool = False
    on: str | None = None  # the cluster that works on it; None is this machine


@dataclass(frozen=True)
class Capacity:
    """How much may be at work at once, and how much a visitor of a hosted page may file."""

    processes: int
    memory_gb: float
    visitor_runs: int = 1  # of one visitor, at work at once
    visitor_filed: int = 4  # of one visitor, waiting and at work
    filed: int = 200  # of all visitors

    @classmethod
    def of_machine(cls) -> "Capacity":
        """One process for each two cores, three quarters of the memory; STUDIO_MAX_PROCESSES says otherwise."""
        asked = os.environ.get("STUDIO_MAX_PROCESSES", "")
        if asked and not (asked.isascii() and asked.isdigit() and int(asked) > 0):
            raise UsageError(f"STUDIO_MAX_PROCESSES: found {asked!r}; expected a whole number from 1.")
        return cls(int(asked or max(1, cores() // 2)), 0.75 * psutil.virtual_memory().total / 2**30)


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def entry_of(run: RunFolder, recipe: Recipe, home: Home, owner: str | None = None, resume: bool = False) -> Entry:
    """What a run with this recipe takes: each of its processes its own memory, and what it leases."""
    from studio.core import registry

    processes = recipe.train.processes
    memory_gb = registry.procedure_for(recipe.method_class()).memory_gb(recipe, home.seen_by(owner))
    return Entry(run.id, processes * (PROCESS_GB + memory_gb), processes, owner, resume)


def next_to_start(entries: list[Entry], capacity: Capacity, free_gb: float) -> Entry | None:
    """The first waiting entry, if it fits; nobody behind squeezes past it, but visitors at their limit are passed over.

    A run that is larger than the capacity starts once nothing else is at work. One that a cluster works on takes no
    room here.
    """
    working = [entry for entry in entries if entry.started and not entry.on]
    elsewhere = [entry for entry in entries if entry.on]
    if sum(entry.started for entry in elsewhere) < FOLLOWED:
        for entry in elsewhere:
            if not entry.started:
                return entry
    for entry in entries:
        if entry.started or entry.on:
            continue
        if entry.owner and sum(other.owner == entry.owner for other in working) >= capacity.visitor_runs:
            continue
        memory_gb = sum(other.memory_gb for other in working) + entry.memory_gb
        processes = sum(other.processes for other in working) + entry.processes
        fits = processes <= capacity.processes and memory_gb <= capacity.memory_gb and entry.memory_gb <= free_gb
        return entry if fits or not working else None
    return None


class Queue:
    """The table of one home. Safe between threads and processes."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._table = home.locks / "queue-v2.json"  # a new name with each change of Entry

    def entries(self) -> list[Entry]:
        """All that wait or are at work, in the order they came."""
        with self._changing() as entries:
            return list(entries)

    def place(self, run_id: str) -> int | None:
        """1 for the run that is started next; None for one that does not wait."""
        waiting = [entry["run"] for entry in read_json(self._table, []) if not entry["started"]]
        return waiting.index(run_id) + 1 if run_id in waiting else None

    def memory_gb(self, run: RunFolder) -> float:
        """What a run in the table takes: that was worked out where it was filed, with the method at hand."""
        of_run = {entry.run: entry.memory_gb for entry in self.entries()}
        return of_run.get(run.id, PROCESS_GB)

    def file(self, entry: Entry, capacity: Capacity) -> None:
        """Adds a run at the end. Raises UsageError where a visitor has too many, StoreError where nothing was filed."""
        with self._changing() as entries:
            if any(other.run == entry.run for other in entries):
                raise UsageError(f"Run {entry.run} is in the queue already.")
            _refuse_too_many(entry, entries, capacity)
            entries.append(entry)

    def withdraw(self, run_id: str) -> bool:
        """Takes out a run that waits; False where it does not."""
        with self._changing() as entries:
            waiting = [entry for entry in entries if entry.run == run_id and not entry.started]
            entries[:] = [entry for entry in entries if entry not in waiting]
            return bool(waiting)

    @contextmanager
    def working(self, run: RunFolder, on: str | None = None) -> Iterator[None]:
        """Counts a run as at work, here or `on` a cluster; for the process that holds it. Where the disk is full it is
        not counted."""
        with suppress(StoreError):
            if not self._begin(run.id):
                self._add(replace(_entry_or_least(run, self.home), on=on))
        try:
            yield
        finally:
            with suppress(StoreError):  # whoever looks next strikes it out
                self._remove(run.id)
            kick(self.home)

    def _begin(self, run_id: str) -> bool:
        """Marks a filed run as started; False where it was not filed."""
        with self._changing() as entries:
            known = any(entry.run == run_id for entry in entries)
            entries[:] = [replace(entry, started=True) if entry.run == run_id else entry for entry in entries]
            return known

    def _add(self, entry: Entry) -> None:
        with self._changing() as entries:
            entries.append(replace(entry, started=True))

    def _remove(self, run_id: str) -> None:
        with self._changing() as entries:
            entries[:] = [entry for entry in entries if entry.run != run_id]

    @contextmanager
    def _changing(self) -> Iterator[list[Entry]]:
        """The living entries, to be changed in place. Raises StoreError where the table can't be read or written."""
        with clear_errors(self.home.locks), FileLock(self.home.locks / "queue.lock", poll_interval=0.01):
            before = read_json(self._table, [])
            entries = [entry for entry in (Entry(**values) for values in before) if self._lives(entry)]
            yield entries
            after = [asdict(entry) for entry in entries]
            if after != before:
                write_atomic(self._table, to_json(after))

    def _lives(self, entry: Entry) -> bool:
        run = RunFolder(self.home.runs / entry.run)
        return run.path.is_dir() and (not entry.started or run.is_alive())


def enqueue(
    run: RunFolder, home: Home, *, resume: bool = False, owner: str | None = None, capacity: Capacity | None = None,
    on: str | None = None,
) -> None:  # fmt: skip
    """Files a run to be worked on in a process of its own as soon as there is room, or `on` a cluster. Returns at once.

    Raises UsageError where a visitor has filed too many, or has computed for long enough today.
    """
    require_time(Store(home.seen_by(owner)))
    run.clear_stop()
    entry = replace(entry_of(run, run.recipe(), home, owner, resume), on=on)
    Queue(home).file(entry, capacity or Capacity.of_machine())
    if resume:
        with EventWriter(run.events_path) as events:
            events.status("queued", resumed=True)
    kick(home)


def stop(run: RunFolder, home: Home) -> str:
    """Asks a run to save and stop; one that waits leaves the queue and is stopped at once. The status it has then.

    Raises UsageError for a run that neither waits nor is at work.
    """
    alive = run.is_alive()
    run.request_stop()  # before it leaves the queue: whoever starts it meanwhile sees it
    if Queue(home).withdraw(run.id) and run.stop_unbegun():
        return "stopped"  # the request stays, for a worker that was on its way already
    if alive or run.is_alive():
        return "stopping"
    run.clear_stop()
    raise UsageError(f"Run {run.id} is not being worked on (it is {run.status()}).")


def kick(home: Home) -> None:
    """Sees to it that a keeper lives while something waits. Cheap; anyone may call it at any time."""
    if not any(not entry["started"] for entry in read_json(home.locks / "queue-v2.json", [])):
        return
    with suppress(OSError, StoreError, Timeout), FileLock(keeper_lock(home), timeout=0):
        if _on_its_way(home):
            return
        with open(home.locks / "queue.log", "wb") as log:
            keeper = spawn("studio.runs.keeper", [], home, log)
        write_atomic(home.locks / "queue-keeper.pid", str(keeper.pid).encode())
    # on a full disk the next one who looks tries again


def _on_its_way(home: Home) -> bool:
    """Whether a keeper was started that does not hold its lock yet: on a busy machine that takes it seconds."""
    try:
        process = psutil.Process(int((home.locks / "queue-keeper.pid").read_text()))
        return "studio.runs.keeper" in process.cmdline()
    except (OSError, ValueError, psutil.Error):  # none was started, or it is gone
        return False


def _entry_or_least(run: RunFolder, home: Home) -> Entry:
    """What a run takes; what any takes where its recipe is wrong, which whoever works on it says."""
    try:
        return entry_of(run, run.recipe(), home)
    except StudioError:
        return Entry(run.id, PROCESS_GB, 1)


def _refuse_too_many(entry: Entry, entries: list[Entry], capacity: Capacity) -> None:
    if entry.owner is None:
        return
    mine = sum(other.owner == entry.owner for other in entries)
    if mine >= capacity.visitor_filed:
        raise UsageError(
            f"{mine} of your runs wait or are being worked on already, and {capacity.visitor_filed} are allowed at "
            "once. Wait until one is done, or stop one."
        )
    if sum(other.owner is not None for other in entries) >= capacity.filed:
        raise UsageError(f"{capacity.filed} runs wait already. Try again later.")


def keeper_lock(home: Home) -> Path:
    return home.locks / "queue-keeper.lock"
