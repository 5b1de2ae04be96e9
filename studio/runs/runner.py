"""The one path from a recipe to a checkpoint: `submit` files a run, `execute` works on it.

The page, the command line and Python all come through here; they differ in the executor only
(`studio.runs.executors`).
"""

import os
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from studio.core import recipe as recipes
from studio.core import registry
from studio.core.errors import StoppedByUser, StoreError, StudioError, UsageError
from studio.core.events import EventWriter
from studio.core.home import Home
from studio.core.procedure import Job, Outcome
from studio.core.recipe import Recipe
from studio.core.resident import peak_bytes
from studio.device.allocator import keep_freed_memory
from studio.device.manager import DeviceManager, TorchProbe
from studio.engine.process_rank import world
from studio.runs.affordable import out_of_time, require_affordable
from studio.runs.cluster.connect import check_place
from studio.runs.openable import require_openable
from studio.runs.pinned import pinned
from studio.runs.queue import Queue, cores
from studio.store import RunFolder, Store, sharing


@dataclass
class Result:
    """What a run ended with; `to_dict` is the JSON object that the contract promises."""

    run: str
    status: str
    metrics: dict[str, Any] = field(default_factory=dict)
    checkpoint: str | None = None
    seconds: float = 0.0
    device: str | None = None
    error: str | None = None
    exit_code: int = 0

    def to_dict(self) -> dict[str, Any]:
        values = asdict(self)
        values.pop("exit_code")
        return values


def submit(recipe: Recipe, store: Store, on: str | None = None) -> RunFolder:
    """Files a run in the store, for this machine or `on` a cluster. Nothing is started yet.

    Raises UsageError or DataError for what can't be run, a place that is none, or something named that whoever asks may
    not open.
    """
    recipe.method_params()
    if on is not None:
        check_place(on)
    wants_ranks(recipe, here=on is None)
    require_openable(recipe, store)
    require_affordable(recipe, store.home.rights)
    run = store.new_run(pinned(recipe, store))
    with EventWriter(run.events_path) as events:
        events.status("queued")
        for note in recipe.notes:
            events.note(note)
    return run


@contextmanager
def _where_filed(run: RunFolder, events: EventWriter) -> Iterator[None]:
    """Relative paths of a recipe are below the folder where the run was filed, wherever it is worked on or resumed."""
    folder = run.filed_in()
    if folder is not None and not folder.is_dir():
        events.note(f"The run was filed in {folder}, which is gone; relative paths are looked for in {Path.cwd()}.")
        folder = None
    with nullcontext() if folder in (None, Path.cwd()) else chdir(folder):
        yield


def execute(
    run: RunFolder,
    home: Home,
    resume: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
    store: Store | None = None,
) -> Result:
    """Works on a filed run in this process until it is finished, failed or stopped; `store` is that of `home`.

    Every outcome is in the events; no exception leaves but KeyboardInterrupt and its kin.
    """
    home = home.seen_by(run.visitor())
    store, devices = store or Store(home), DeviceManager(home)
    with run.hold(), answered_stop(run), Queue(home).working(run), EventWriter(run.events_path) as events:
        late = out_of_time(store, events.note)
        watch = StopWatch(lambda: should_stop() or run.stop_requested() or late())
        result, begun = Result(run.id, "running"), time.monotonic()  # a worker has imported what it needs by now
        events.status("running", resumed=resume)
        try:
            with _where_filed(run, events):
                outcome = _work(run, home, store, devices, events, watch, resume, result)
            result.status, result.metrics, result.checkpoint = "finished", outcome.metrics, outcome.checkpoint
        except StoppedByUser as stop:
            result.status, result.error, result.exit_code = "stopped", str(stop) or None, StoppedByUser.exit_code
        except StudioError as error:
            result.status, result.error, result.exit_code = "failed", str(error), error.exit_code
            result.checkpoint = error.checkpoint
        except Exception as error:
            run.log(traceback.format_exc())
            result.status, result.error, result.exit_code = "failed", _sentence_of(error), 1
        result.seconds = round(time.monotonic() - begun, 3)
        try:
            _report(result, events)
        except StoreError as error:  # a full disk: the caller is told, the next watcher sees a dead run
            result.status, result.error, result.exit_code = "failed", str(error), error.exit_code
        if result.status == "finished":
            share(run, store, events)
    return result


def share(run: RunFolder, store: Store, events: EventWriter) -> None:
    """Pushes a finished run and its checkpoint to where STUDIO_STORE says; what can't be is told, and nothing lost."""
    if not store.home.rights.local:
        return
    try:
        if bucket := sharing.bucket_of_environment():
            sharing.push(store, bucket, [run.id])
    except (StudioError, OSError) as error:
        events.warning(f"It was not pushed to STUDIO_STORE: {error} `launch.py push {run.id}` tries again.")


@contextmanager
def answered_stop(run: RunFolder) -> Iterator[None]:
    """A request to stop has its answer when the run ends, and one made before the run began is a request too."""
    try:
        yield
    finally:
        with suppress(OSError):
            run.clear_stop()


def _work(
    run: RunFolder,
    home: Home,
    store: Store,
    devices: DeviceManager,
    events: EventWriter,
    should_stop: Callable[[], bool],
    resume: bool,
    result: Result,
) -> Outcome:
    recipe = recipes.parse(run.recipe().model_dump())
    cls = recipe.method_class()
    procedure = registry.procedure_for(cls)
    wants_ranks(recipe)
    with devices.lease(
        own_device(recipe.device),
        memory_gb=procedure.memory_gb(recipe, home),
        on_wait=events.note,
        should_stop=should_stop,
    ) as lease:
        if lease.note:
            events.note(lease.note)
        result.device = lease.device
        if lease.device == "cpu":
            keep_freed_memory()
        job = Job(
            recipe=recipe,
            method=cls(recipe.method_params()),
            home=home,
            store=store,
            events=events,
            folder=run.path,
            run_id=run.id,
            device=lease.device,
            precision=devices.precision(lease.device, recipe.train.precision),
            should_stop=should_stop,
            resume=resume,
        )
        return procedure.run(job)


def wants_ranks(recipe: Recipe, here: bool = True) -> bool:
    """Whether ranks must be started for this recipe. Raises UsageError where its method runs in one process only, and
    for more ranks than this machine has room for where they are to be `here`."""
    if recipe.train.processes == 1 or "RANK" in os.environ:
        return False
    if not registry.procedure_for(recipe.method_class()).shares:
        raise UsageError(f"train.processes: {recipe.method} runs in one process; leave train.processes at 1.")
    if recipe.train.batch_size < recipe.train.processes:
        raise UsageError(
            f"train.processes: {recipe.train.processes} processes can't share a batch of {recipe.train.batch_size}. "
            "Take a larger train.batch_size or fewer processes."
        )
    if here:
        _refuse_more_than_fit(recipe.train.processes)
    return True


def _refuse_more_than_fit(processes: int) -> None:
    """Raises UsageError for more processes than this machine has processors or accelerators for."""
    if processes <= cores() or os.environ.get("ACCELERATE_CONFIG_FILE"):  # which may name more machines
        return
    accelerators = sum(device.kind != "cpu" for device in TorchProbe().devices())
    most = max(cores(), accelerators)
    if processes > most:
        raise UsageError(f"train.processes: found {processes}; this machine has room for {most} at most.")


def assist(run: RunFolder, home: Home, resume: bool = False) -> None:
    """Works along with the first rank, and writes nothing."""
    home = home.seen_by(run.visitor())
    with EventWriter(Path(os.devnull)) as events:
        result = Result(run.id, "running")
        with _where_filed(run, events):
            _work(run, home, Store(home), DeviceManager(home), events, lambda: False, resume, result)


def own_device(asked: str) -> str:
    """The device of this rank; what was asked for where there is one process."""
    if world() == 1 or asked == "cpu":
        return asked
    import torch

    return f"cuda:{os.environ['LOCAL_RANK']}" if torch.cuda.is_available() else "cpu"


def _report(result: Result, events: EventWriter) -> None:
    if result.status == "finished":
        events.emit("metrics", metrics=result.metrics)
        if result.checkpoint:
            events.emit("checkpoint", checkpoint=result.checkpoint, role="final")
    if result.error:
        events.emit("error", message=result.error)
    values = {"seconds": result.seconds, "device": result.device, "exit_code": result.exit_code}
    values["peak_memory_mb"] = round(peak_bytes() / 2**20, 1)
    events.status(result.status, **values)


def _sentence_of(error: Exception) -> str:
    if "Expected more than 1 value per channel" in str(error):
        return (
            "Batch norms that learn their statistics need two images or more in a batch. Set train.batch_size to 2 or "
            "more, or keep the statistics (params.freeze_statistics: true)."
        )
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return (
            "The memory of this machine is used up. Take a smaller train.batch_size, model.image_size or backbone, or "
            "close other programs, then resume the run."
        )
    return f"{type(error).__name__}: {error} (the whole trace is in the run's log)"


class StopWatch:
    """Asks whether to stop at most five times a second, so that a loop may ask at every step."""

    def __init__(self, ask: Callable[[], bool], every_s: float = 0.2) -> None:
        self._ask, self._every_s = ask, every_s
        self._next, self._stop = 0.0, False

    def __call__(self) -> bool:
        now = time.monotonic()
        if not self._stop and now >= self._next:
            self._stop, self._next = self._ask(), now + self._every_s
        return self._stop
