"""Where a run is worked on: in this process, in a worker process of its own, or on a cluster (studio.runs.cluster).

A worker is started with an argv list and a run id, never a shell string. It outlives the page that
started it; stopping it is a polite file in its folder, seen at the next step.
"""

import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from studio.core.errors import StudioError
from studio.core.home import Home
from studio.runs.launch import launch
from studio.runs.processes import spawn
from studio.runs.runner import Result, execute, wants_ranks
from studio.store import RunFolder


def run_inline(
    run: RunFolder,
    home: Home,
    *,
    resume: bool = False,
    should_stop: Callable[[], bool] | None = None,
    on: str | None = None,
) -> Result:
    """Works on the run here, in ranks of it, or follows it `on` a cluster. Ctrl-C asks it to stop politely; a second
    one breaks off."""
    work = _work_of(run, on)
    if should_stop is not None or threading.current_thread() is not threading.main_thread():
        return work(run, home, resume=resume, should_stop=should_stop or (lambda: False))
    with _Interrupts() as interrupted:
        return work(run, home, resume=resume, should_stop=interrupted)


def _work_of(run: RunFolder, on: str | None) -> Callable[..., Result]:
    """`execute`, or where several processes share the run `launch`; both (run, home, resume, should_stop)."""
    shared = False
    with suppress(StudioError):  # what is wrong with a recipe is told, and written down, by `execute`
        shared = run.recipe().train.processes > 1 and wants_ranks(run.recipe(), here=on is None)
    if on is None:
        return launch if shared else execute
    from studio.runs.cluster import ranks, work

    return partial(ranks.train_on if shared else work.work_on, on=on)


def start_worker(run: RunFolder, home: Home, *, resume: bool = False, on: str | None = None) -> subprocess.Popen[bytes]:
    """Starts a worker process on the run and returns at once. Its output goes to the run's log."""
    arguments = [run.id, *(["--resume"] if resume else []), *(["--on", on] if on else [])]
    with open(run.log_path, "ab") as log:
        return spawn("studio.runs.worker", arguments, home, log)


class _Interrupts:
    """While inside, the first SIGINT or SIGTERM is remembered; the next one raises KeyboardInterrupt."""

    def __enter__(self) -> Callable[[], bool]:
        self._seen = threading.Event()
        self._before = {number: signal.signal(number, self._on) for number in (signal.SIGINT, signal.SIGTERM)}
        return self._seen.is_set

    def _on(self, number: int, frame: object) -> None:
        if self._seen.is_set():
            raise KeyboardInterrupt
        self._seen.set()

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
