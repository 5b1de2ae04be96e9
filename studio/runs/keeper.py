"""The keeper of the queue: `python -m studio.runs.keeper`, home in STUDIO_HOME, starts what waits.

One light process a home. It lives while something waits and outlives the page; where it was killed, whoever
looks (`studio.runs.queue.kick`: the page, a worker that ends, the command line) starts it anew.
"""

import subprocess
import sys
import time

import psutil
from filelock import FileLock, Timeout

from studio.core.home import Home
from studio.runs.executors import start_worker
from studio.runs.queue import Capacity, Entry, Queue, keeper_lock, next_to_start
from studio.store import RunFolder

POLL_S = 0.2
LOCK_WAIT_S = 2.0  # whoever looks after the keeper has its lock for a moment


def keep(home: Home, capacity: Capacity) -> None:
    """Starts what waits, as long as something does, unless another process does it already."""
    queue = Queue(home)
    while any(not entry.started for entry in queue.entries()):  # again: one may be filed before the lock is let go
        try:
            with FileLock(keeper_lock(home), timeout=LOCK_WAIT_S):
                _serve(queue, home, capacity)
        except Timeout:
            return


def _serve(queue: Queue, home: Home, capacity: Capacity) -> None:
    workers: list[subprocess.Popen[bytes]] = []
    while True:
        workers = [worker for worker in workers if worker.poll() is None]  # the dead are reaped
        entries = queue.entries()
        if all(entry.started for entry in entries):
            return
        entry = next_to_start(entries, capacity, psutil.virtual_memory().available / 2**30)
        if entry is None:
            time.sleep(POLL_S)
            continue
        workers.append(_start(entry, queue, home))


def _start(entry: Entry, queue: Queue, home: Home) -> subprocess.Popen[bytes]:
    """Starts a worker and waits until it is at work, or has died on the way, which is written down."""
    run = RunFolder(home.runs / entry.run)
    worker = start_worker(run, home, resume=entry.resume, on=entry.on)
    while worker.poll() is None and _waits(entry, queue):
        time.sleep(POLL_S / 4)
    if _waits(entry, queue) and queue.withdraw(entry.run):
        run.mark_dead()
    return worker


def _waits(entry: Entry, queue: Queue) -> bool:
    return queue.place(entry.run) is not None


if __name__ == "__main__":
    keep(Home.find(), Capacity.of_machine())
    sys.exit(0)
