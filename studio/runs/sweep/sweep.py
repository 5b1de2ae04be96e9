"""What every sweep does: files runs in the queue while there is room, follows them, and is told how far they are.

What it knows is on the disk before a run may start: the same command goes on after any end, with the runs that were
at work, and none is made twice. Which runs, and what becomes of them, is said by a kind of sweep (`study`, `table`).
"""

import hashlib
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any

from filelock import FileLock, Timeout

from studio.core.errors import StoppedByUser, StoreError, StudioError, UsageError
from studio.core.events import FINAL
from studio.core.home import Home
from studio.core.recipe import Recipe
from studio.runs import queue
from studio.runs.cluster.connect import check_place
from studio.runs.queue import Capacity, Queue, enqueue
from studio.runs.runner import submit
from studio.store import RunFolder, Store
from studio.store.files import to_json, write_atomic

POLL_S = 1.0
PROGRESS, STOP = "progress.json", "stop"  # how far it is; there while it shall stop


@dataclass(frozen=True)
class State:
    """How far a sweep is."""

    done: int
    total: int
    at_work: int
    best: float | None
    best_values: dict[str, Any]
    left_s: float | None  # an estimate, once a run has ended


def no_change(state: State) -> None:
    """For those who do not watch."""


def nothing_said(text: str) -> None:
    """For those who do not listen."""


class Sweep(ABC):
    """Runs of one purpose; the name is made from what they are, so that the same command finds it again."""

    def __init__(self, name: str, what: Any, home: Home, on: str | None = None) -> None:
        """`on` is the cluster that works on the runs, None this machine. Raises UsageError for a place that is none."""
        if on is not None:
            check_place(on)
        self.home, self.on = home, on
        self.name = f"{name}-{hashlib.sha256(json.dumps(what, default=str).encode()).hexdigest()[:8]}"
        self.folder = home.root / "sweeps" / self.name
        self.folder.mkdir(parents=True, exist_ok=True)
        self._at_work: dict[Any, RunFolder] = {}
        self._shown: State | None = None

    @abstractmethod
    def _adopt(self) -> None:
        """Takes up the runs that were at work when the sweep ended."""

    @abstractmethod
    def _more(self) -> bool:
        """Whether a run may be filed now."""

    @abstractmethod
    def _start(self) -> None:
        """Files the next run."""

    @abstractmethod
    def _remember(self, key: Any, run: RunFolder) -> None:
        """Keeps on the disk which run that of `key` is, before it may start."""

    @abstractmethod
    def _ended(self, key: Any, run: RunFolder, status: str, say: Callable[[str], None]) -> None:
        """What becomes of a run that is at work no longer."""

    @abstractmethod
    def _watch(self, key: Any, run: RunFolder, say: Callable[[str], None]) -> None:
        """Looks at a run that is at work."""

    @abstractmethod
    def state(self, jobs: int) -> State:
        """How far it is, with so many runs at once."""

    def work(
        self, jobs: int | None = None, on_change: Callable[[State], None] = no_change,
        say: Callable[[str], None] = nothing_said,
    ) -> None:  # fmt: skip
        """Goes on until all runs have ended. Stopped by Ctrl-C, they save; the next call resumes them."""
        jobs = self._jobs(jobs)
        with self.hold():
            (self.folder / STOP).unlink(missing_ok=True)
            try:
                self._adopt()
                while self._at_work or self._more():
                    self._step(jobs, on_change, say)
                    time.sleep(POLL_S if self._at_work else 0)
            except BaseException:
                for run in self._at_work.values():
                    with suppress(StudioError):
                        queue.stop(run, self.home)
                raise

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Held while the sweep is at work. Raises UsageError where another process works on it."""
        lock = FileLock(self.folder / "alive.lock")
        try:
            lock.acquire(timeout=0.5)
        except Timeout:
            raise UsageError(f"The sweep {self.name} is being worked on already.") from None
        try:
            yield
        finally:
            lock.release()

    def _step(self, jobs: int, on_change: Callable[[State], None], say: Callable[[str], None]) -> None:
        while len(self._at_work) < jobs and self._more():
            self._start()
        for key in list(self._at_work):
            self._look(key, say)
        self._show(self.state(jobs), on_change)
        if (self.folder / STOP).exists():
            raise StoppedByUser(f"Stopped; the same command goes on. What it knows is in {self.folder}.")

    def _look(self, key: Any, say: Callable[[str], None]) -> None:
        run = self._at_work[key]
        queue.kick(self.home)
        status = run.status()
        if status in FINAL and not self._waits(run):
            del self._at_work[key]
            self._ended(key, run, status, say)
        else:
            self._watch(key, run, say)

    def _file(self, key: Any, recipe: Recipe, prepare: Callable[[RunFolder], None] | None = None) -> None:
        """Files a run; where `prepare` puts something into its folder first, it goes on from that."""
        run = submit(recipe, Store(self.home), self.on)
        if prepare is not None:
            prepare(run)
        self._remember(key, run)
        enqueue(run, self.home, resume=prepare is not None, on=self.on)
        self._at_work[key] = run

    def _take_up(self, key: Any, run_id: str | None) -> bool:
        """Goes on with a run that was filed; False where it is not there."""
        if not run_id:
            return False
        try:
            run = Store(self.home).run(run_id)
        except (StoreError, UsageError):
            return False
        if not run.is_alive() and run.status() in ("stopped", "failed", "queued") and not self._waits(run):
            enqueue(run, self.home, resume=run.status() != "queued", on=self.on)
        self._at_work[key] = run
        return True

    def _waits(self, run: RunFolder) -> bool:
        return Queue(self.home).place(run.id) is not None

    def _show(self, state: State, on_change: Callable[[State], None]) -> None:
        """Tells how far it is, those too who look at its file."""
        on_change(state)
        if state != self._shown:
            write_atomic(self.folder / PROGRESS, to_json(asdict(state)))
            self._shown = state

    def _jobs(self, asked: int | None) -> int:
        """Runs at once. Raises StudioError where the cluster can't be reached: before anything is filed."""
        if self.on is None:
            return asked or Capacity.of_machine().processes
        from studio.runs.cluster.connect import connect, room

        return min(asked or room(connect(self.on, self.home)), queue.FOLLOWED)
