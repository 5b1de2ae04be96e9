"""What the tests of the queue stand on: a keeper whose workers only hold their run, in processes of their own."""

import os
import subprocess
import sys
import time
from pathlib import Path

from studio.core.events import EventWriter
from studio.core.home import Home
from studio.runs import keeper
from studio.runs.queue import Capacity, Queue
from studio.store import Store


def start(home: Home, *arguments: str) -> subprocess.Popen:
    """This file in a process of its own: `keep PROCESSES WORKER`, or a worker on a run."""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    return subprocess.Popen([sys.executable, __file__, str(home.root), *arguments], env=env)


def looks(home: Home) -> Path:
    """A file with a character for each time that a keeper has looked for what to start."""
    return home.root / "looks"


def keep(home: Home, processes: str, worker: str) -> None:
    keeper.start_worker = lambda run, home, resume, on: start(home, worker, run.id)
    choose = keeper.next_to_start

    def choose_and_count(*arguments):
        chosen = choose(*arguments)
        with open(looks(home), "ab") as file:
            file.write(b".")
        return chosen

    keeper.next_to_start = choose_and_count
    keeper.keep(home, Capacity(int(processes), 1000.0))


def hold(home: Home, run_id: str) -> None:
    """Is at work until asked to stop."""
    run = Store(home).run(run_id)
    with run.hold(), Queue(home).working(run), EventWriter(run.events_path) as events:
        events.status("running")
        while not run.stop_requested():
            time.sleep(0.02)
        events.status("stopped")


def die(home: Home, run_id: str) -> None:
    """A worker that is killed before it begins."""
    Store(home).run(run_id).log("it could not even begin")
    sys.exit(9)


if __name__ == "__main__":
    root, action, *arguments = sys.argv[1:]
    {"keep": keep, "hold": hold, "die": die}[action](Home.find(root), *arguments)
