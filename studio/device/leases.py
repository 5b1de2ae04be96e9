"""Who may use which device: one table of requests for all processes of a home.

The table is a small JSON file, read and changed under one file lock. Each request also holds a file
lock of its own for as long as it lives: the operating system lets go of it when a process ends,
however it ends, so whoever looks next sees that the holder is dead and strikes it out.
"""

import math
import os
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from studio.core.errors import StoppedByUser, StoreError, StudioError
from studio.core.files import read_json, write_json

POLL_S = 0.05
ROUNDING_GB = 1e-6


class DeviceBusy(StudioError):
    """No device came free in the time that the caller would wait."""


@dataclass
class Room:
    """A device that a request fits on: its key, and its memory in GB when the request was made."""

    key: str
    id: str
    total_gb: float
    free_gb: float


@dataclass
class Request:
    """One entry of the table; `device` is the key of the device once granted."""

    rooms: list[Room]
    memory_gb: float
    interactive: bool = False
    device: str | None = None
    ticket: str = field(default_factory=lambda: uuid.uuid4().hex)
    pid: int = field(default_factory=os.getpid)  # for people who look into the table; never relied on

    @classmethod
    def from_dict(cls, values: dict) -> "Request":
        return cls(**{**values, "rooms": [Room(**room) for room in values["rooms"]]})


def queue(requests: list[Request]) -> list[Request]:
    """Those still waiting, in the order they are served: people first, then as they came."""
    return sorted((one for one in requests if one.device is None), key=lambda one: not one.interactive)


def leased_gb(requests: list[Request]) -> defaultdict[str, float]:
    """GB granted, by device key."""
    used: defaultdict[str, float] = defaultdict(float)
    for one in requests:
        if one.device is not None:
            used[one.device] += one.memory_gb
    return used


def assign(requests: list[Request]) -> None:
    """Grants devices to waiting requests, in order, as long as the sums fit.

    A request that has to wait closes its devices to all behind it: a large one is never starved by
    small ones that would still squeeze in.
    """
    used, closed = leased_gb(requests), set[str]()
    for one in queue(requests):
        open_rooms = [
            room
            for room in one.rooms
            if room.key not in closed and used[room.key] + one.memory_gb <= room.total_gb + ROUNDING_GB
        ]
        if not open_rooms:
            closed.update(room.key for room in one.rooms)
            continue
        # what others use without a lease counts only for the choice: it may be gone by the time we compute
        one.device = max(open_rooms, key=lambda room: min(room.total_gb - used[room.key], room.free_gb)).key
        used[one.device] += one.memory_gb


class Board:
    """The table of one home. Safe between threads and processes; the file lock is held for moments only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._table = folder / "leases-v1.json"  # a new name with each change of Request

    @contextmanager
    def hold(
        self,
        request: Request,
        wait_s: float | None,
        on_wait: Callable[[str], None] | None,
        should_stop: Callable[[], bool],
    ) -> Iterator[str]:
        """Waits its turn, yields the key of the granted device, and frees it when left.

        Raises DeviceBusy after `wait_s` seconds (None: never), StoppedByUser once `should_stop()`.
        """
        lock = self._enter(request)
        try:
            yield self._wait(request, wait_s, on_wait, should_stop)
        finally:
            lock.release()  # now the request is dead to all, just as if this process had ended
            with suppress(StoreError):  # a full disk: whoever looks next strikes it out
                self.requests()

    def requests(self) -> list[Request]:
        """All living requests, granted and waiting, in the order they came."""
        with self._transaction() as requests:
            pass
        return requests

    def _enter(self, request: Request) -> FileLock:
        with self._transaction() as requests:
            self._sweep({one.ticket for one in requests})
            lock = FileLock(self._lock_path(request.ticket), thread_local=False)
            lock.acquire(blocking=False)
            requests.append(request)
        return lock

    def _wait(
        self,
        request: Request,
        wait_s: float | None,
        on_wait: Callable[[str], None] | None,
        should_stop: Callable[[], bool],
    ) -> str:
        until = math.inf if wait_s is None else time.monotonic() + wait_s
        said = ""
        while True:
            requests = self.requests()
            mine = next((one for one in requests if one.ticket == request.ticket), None)
            if mine is None:
                raise StoreError(f"The lease table {self._table} was emptied while this waited. Start again.")
            if mine.device is not None:
                return mine.device
            if should_stop():
                raise StoppedByUser("Stopped while waiting for a device.")
            state, ahead = _describe(mine, requests)
            left_s = until - time.monotonic()
            if left_s <= 0:
                raise DeviceBusy(f"No device is free: {state}. Wait, stop one of the runs, or name another device.")
            if on_wait and state != said:
                on_wait(f"Waiting for a device: {state}.")
                said = state
            time.sleep(min(left_s, POLL_S * min(1 + ahead, 20)))  # those further back need not look so often

    @contextmanager
    def _transaction(self) -> Iterator[list[Request]]:
        """The living requests, to be added to; afterwards what is free is given out and all is written.

        Raises StoreError where the table can't be written.
        """
        try:
            with FileLock(self._folder / "leases.lock", poll_interval=0.01):
                before = read_json(self._table, [])  # damaged only by a power cut, which no holder survives
                requests = [one for one in map(Request.from_dict, before) if self._alive(one)]
                yield requests
                assign(requests)
                after = [asdict(one) for one in requests]
                if after != before:
                    write_json(self._table, after)
        except OSError as error:
            raise StoreError(
                f"The table of leases {self._table} can't be read or written ({error.strerror or error}). "
                "Free some space, or set STUDIO_HOME to a folder you may write to."
            ) from error

    def _alive(self, request: Request) -> bool:
        return not _try_remove(self._lock_path(request.ticket))

    def _sweep(self, known: set[str]) -> None:
        """Removes lock files whose holder died before it stood in the table."""
        for path in self._folder.glob("lease-*.lock"):
            if path.stem.removeprefix("lease-") not in known:
                _try_remove(path)

    def _lock_path(self, ticket: str) -> Path:
        return self._folder / f"lease-{ticket}.lock"


def _try_remove(path: Path) -> bool:
    """Removes a lock file that nobody holds; False if somebody does."""
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    lock.release()
    with suppress(OSError):  # a virus scanner may have it open on Windows; the next sweep takes it
        path.unlink()
    return True


def _describe(mine: Request, requests: list[Request]) -> tuple[str, int]:
    """What stands in the way, in words, and how many requests are served before."""
    keys = {room.key for room in mine.rooms}
    waiting = queue(requests)
    ahead = sum(1 for one in waiting[: waiting.index(mine)] if keys & {room.key for room in one.rooms})
    used = leased_gb(requests)
    rooms = " and ".join(f"{room.id} has {used[room.key]:.1f} of {room.total_gb:.1f} GB leased" for room in mine.rooms)
    behind = f", {ahead} ahead in the queue" if ahead else ""
    return f"{mine.memory_gb:.1f} GB asked, {rooms}{behind}", ahead
