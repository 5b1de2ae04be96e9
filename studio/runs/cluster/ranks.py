"""Runs in several processes of a cluster, by Ray Train: each is a rank of the one loop, as of `accelerate launch`.

The ranks work in the home folder itself, which every node must see under the same path, as Ray Train wants it of its
own files. A lost node ends all ranks; they begin again from the resume state, once.
"""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from studio.core.errors import StoppedByUser, StoreError, StudioError, UsageError, one_line
from studio.core.events import EventWriter
from studio.core.home import Home
from studio.core.recipe import Recipe
from studio.engine.process_rank import rank
from studio.runs.cluster.connect import connect, room
from studio.runs.cluster.work import ATTEMPTS, smallest_gpu_gb
from studio.runs.launch import result_of
from studio.runs.runner import Result, answered_stop, assist, execute
from studio.store import RunFolder
from studio.store.state import generations

POLL_S = 0.2


def train_on(run: RunFolder, home: Home, on: str, resume: bool, should_stop: Callable[[], bool]) -> Result:
    """Works on the run in ranks of the cluster `on` and returns when they have ended."""
    before = len(run.events())
    with answered_stop(run), _passed_on(run, should_stop):
        try:
            ray = connect(on, home)
            require_room(run.recipe().train.processes, room(ray))
            _attempts(ray, run, home, resume)
        except StudioError as error:
            _say_failed(run, error)
    return result_of(run, before)


def _attempts(ray: Any, run: RunFolder, home: Home, resume: bool) -> None:
    """Raises StudioError where a rank's process is lost for the second time, or dies of something else."""
    from ray.train import TrainingFailedError

    for attempt in range(ATTEMPTS):
        try:
            return _trainer(ray, run, home, resume).fit()
        except TrainingFailedError as error:
            if not _lost(error):
                if run.is_alive() or _last_status(run) in ("queued", "running"):
                    raise StudioError(f"A rank failed: {one_line(error)}") from error
                return None  # the first rank has said why
            if attempt + 1 == ATTEMPTS:
                raise StudioError(
                    "A node was lost, for the second time; `resume` goes on from what was saved."
                ) from None
            with EventWriter(run.events_path) as events:
                events.warning("A node was lost. All ranks begin again from the last resume state.")
    return None


def _trainer(ray: Any, run: RunFolder, home: Home, resume: bool) -> Any:
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    recipe = run.recipe()
    gpus = wants_gpus(recipe, smallest_gpu_gb(ray) is not None)
    return TorchTrainer(
        work_as_rank,
        train_loop_config={"home": str(home.root), "run": run.id, "resume": resume},
        torch_config=TorchConfig(backend="nccl" if gpus else "gloo"),
        scaling_config=ScalingConfig(num_workers=recipe.train.processes, use_gpu=gpus),
        run_config=RunConfig(name=run.id, storage_path=str(home.root / "ray")),
    )


def require_room(processes: int, processors: int) -> None:
    """Raises UsageError for more ranks than the cluster has processors: Ray would wait for them for ever."""
    if processes > processors:
        raise UsageError(f"train.processes: found {processes}; the cluster has room for {processors} at most.")


def wants_gpus(recipe: Recipe, cluster_has: bool) -> bool:
    """Whether each rank gets a GPU of its own."""
    return cluster_has and recipe.device != "cpu"


def work_as_rank(place: dict[str, Any]) -> None:
    """What each rank does. Raises StoreError on a node that does not see the home folder."""
    if not (Path(place["home"]) / "runs" / place["run"]).is_dir():
        raise StoreError(
            f"Node {socket.gethostname()} does not see the home folder {place['home']}, which ranks on several nodes "
            "share; set STUDIO_HOME to a folder that all of them have."
        )
    os.environ["STUDIO_HOME"] = place["home"]
    home = Home.find()
    run = RunFolder(home.runs / place["run"])
    resume = place["resume"] or any(generations(folder) for folder in (run.state_path, *run.state_path.glob("**/")))
    if rank() == 0:
        execute(run, home, resume)
        return
    with suppress(StoppedByUser):
        assist(run, home, resume)


def _lost(error: Any) -> bool:
    """Whether a rank's process or node is gone, and not something that it said itself."""
    from ray.exceptions import RayError, RayTaskError

    failures = getattr(error, "worker_failures", {}) or {}
    causes = [getattr(failure, "health_check_failure", failure) for failure in failures.values()]
    return any(isinstance(cause, RayError) and not isinstance(cause, RayTaskError) for cause in causes)


def _last_status(run: RunFolder) -> str:
    return next((event["status"] for event in reversed(run.events()) if event["kind"] == "status"), "queued")


def _say_failed(run: RunFolder, error: StudioError) -> None:
    with EventWriter(run.events_path) as events:
        events.emit("error", message=str(error))
        events.status("failed", exit_code=error.exit_code)


@contextmanager
def _passed_on(run: RunFolder, should_stop: Callable[[], bool]) -> Iterator[None]:
    """While inside, a wish to stop becomes the polite file that the first rank looks for."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(POLL_S):
            if should_stop():
                return run.request_stop()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
