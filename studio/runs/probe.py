"""A recipe tried for a few seconds, to say what all of it will cost: a throwaway run in a process of its own.

It does what the run would do, cut to a few steps a training, so that everything is met once: data, backbone, training,
judging, figures. Nothing of it is kept but the features of frozen backbones, which the run then need not compute.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from studio.core.errors import StudioError
from studio.core.home import Home
from studio.core.recipe import Recipe
from studio.runs import timeline
from studio.runs.openable import require_openable
from studio.runs.processes import spawn
from studio.runs.runner import execute
from studio.runs.timeline import Timeline
from studio.store import Store
from studio.store.checkpoint import Checkpoint, Manifest
from studio.store.runs import RunFolder

STEPS = 8  # of each training
LOOK_S = 0.1


def probe(recipe: Recipe, home: Home, limit_s: float) -> Timeline:
    """How a few steps of a recipe went, broken off after `limit_s` seconds of work.

    Raises StudioError with what went wrong where the recipe can't be worked on.
    """
    require_openable(recipe, Store(home))
    folder = Path(tempfile.mkdtemp(prefix="studio-probe-"))
    try:
        run = RunFolder.make(folder, _shortened(recipe), home.visitor)
        memory_mb = _work(run, home, limit_s)
        events = run.events()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    seen = timeline.read(events)
    if seen.status in ("failed", "queued"):
        errors = [event["message"] for event in events if event["kind"] == "error"]
        raise StudioError(errors[-1] if errors else "The probe ended before it began; the run would too.")
    seen.memory_mb = seen.memory_mb or memory_mb
    return seen


def _shortened(recipe: Recipe) -> Recipe:
    """The recipe with a few steps a training, in one process; a method that trains nothing looks at no such key."""
    short = {"max_steps": min(STEPS, recipe.train.max_steps or STEPS), "patience": None, "processes": 1}
    keys = recipe.method_class().train_keys
    read = {key: value for key, value in short.items() if keys is None or key in keys}
    return recipe.model_copy(update={"train": recipe.train.model_copy(update=read)})


def _work(run: RunFolder, home: Home, limit_s: float) -> float:
    """Waits for the probe, or ends it once it was worked on for long enough; the most memory it was seen to hold."""
    with open(run.log_path, "ab") as log:
        process = spawn("studio.runs.probe", [str(run.path)], home, log)
    watched, memory, deadline = psutil.Process(process.pid), 0, time.monotonic() + 3 * limit_s
    try:
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(LOOK_S)
            memory = max(memory, _resident(watched))
            if run.events_path.exists() and _worked_s(run) > limit_s:
                break
    finally:
        process.kill()
        process.wait()
    return memory / 2**20


def _worked_s(run: RunFolder) -> float:
    """Seconds since the run began; a device may be waited for before."""
    begun = next((event["t"] for event in run.events() if event.get("status") == "running"), None)
    return time.time() - begun if begun else 0.0


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:  # it has just ended
        return 0


class ThrowawayStore(Store):
    """Reads what a home has. What is put lies in a home of its own, and is read from there by who goes on from it."""

    def __init__(self, home: Home, own: Home) -> None:
        super().__init__(home)
        self._own = Store(own.seen_by(home.visitor))
        self._put: set[str] = set()

    def put(self, manifest: Manifest, tensors: Any, files: Any = None) -> Checkpoint:
        checkpoint = self._own.put(manifest, tensors, files)
        self._put.add(checkpoint.manifest.id)
        return checkpoint

    def checkpoint(self, name: str) -> Checkpoint:
        return self._own.checkpoint(name) if name in self._put else super().checkpoint(name)


def main(folder: str) -> int:
    run = RunFolder(Path(folder))
    home, own = Home.find(), Home.find(run.path.parent / "home")
    return execute(run, home, store=ThrowawayStore(home.seen_by(run.visitor()), own)).exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
