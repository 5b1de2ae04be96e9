"""A sweep at work: Optuna asks, the queue runs, the event stream answers.

All that is known is in `study.sqlite` below the home folder: the same command goes on after any end, with the runs
that were at work, and none is made twice. Tree-structured Parzen estimator: Bergstra et al. 2011; a run is pruned at an
epoch where it is behind the median of those before it.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from studio.core.errors import StoppedByUser, StoreError, StudioError, UsageError
from studio.core.events import FINAL
from studio.core.home import Home
from studio.runs import queue
from studio.runs.cluster.connect import check_place
from studio.runs.queue import Capacity, Queue, enqueue
from studio.runs.runner import submit
from studio.runs.sweep.score import score_of, validation_scores
from studio.runs.sweep.space import Space
from studio.store import RunFolder, Store
from studio.store.files import to_json, write_atomic

POLL_S = 1.0
PROGRESS, STOP = "progress.json", "stop"  # how far it is; there while it shall stop
NO_OPTUNA = "Sweeps need Optuna: pip install -r requirements-cluster.txt"


@dataclass(frozen=True)
class State:
    """How far a sweep is."""

    done: int
    total: int
    at_work: int
    best: float | None
    best_values: dict[str, Any]
    left_s: float | None  # an estimate, once a run has ended


class Sweep:
    """The sweep of a space; its name is made from what it varies, so that the same command finds it again."""

    def __init__(self, space: Space, home: Home, metric: str | None = None, on: str | None = None) -> None:
        """`on` is the cluster that works on the runs, None this machine.

        Raises UsageError where Optuna is missing or the space names a key or a value that the recipe has not.
        """
        try:
            import optuna
        except ImportError as error:
            raise UsageError(NO_OPTUNA) from error
        self.space, self.home, self.metric, self.on = space, home, metric, on
        recipe = space.check(home)
        if on is not None:
            check_place(on)
        what = json.dumps([recipe.model_dump(), [asdict(over) for over in space.overs], metric], default=str)
        name = Path(space.recipe).stem
        self.name = f"{name}-{hashlib.sha256(what.encode()).hexdigest()[:8]}"
        self.folder = home.root / "sweeps" / self.name
        self.folder.mkdir(parents=True, exist_ok=True)
        optuna.logging.set_verbosity(logging.WARNING)
        storage = f"sqlite:///{self.folder / 'study.sqlite'}"
        self.study = optuna.create_study(
            storage=storage, study_name=self.name, load_if_exists=True, direction="maximize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1),
        )  # fmt: skip
        drawn = recipe.train.seed + len(self.study.trials)  # what is drawn after a break is not what was drawn before
        self.study.sampler = optuna.samplers.TPESampler(seed=drawn, constant_liar=True)
        self._at_work: dict[int, tuple[Any, RunFolder]] = {}
        self._shown: State | None = None

    def work(
        self, trials: int, jobs: int | None = None, on_change: Callable[[State], None] = lambda state: None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:  # fmt: skip
        """Goes on until so many trials are done. Stopped by Ctrl-C, its runs save; the next call resumes them."""
        jobs = self._jobs(jobs)
        with self.hold():
            (self.folder / STOP).unlink(missing_ok=True)
            self._work(trials, jobs, on_change, say)

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

    def _work(
        self, trials: int, jobs: int, on_change: Callable[[State], None], say: Callable[[str], None]
    ) -> None:  # fmt: skip
        self._adopt()
        try:
            while self._at_work or len(self.study.trials) < trials:
                while len(self._at_work) < jobs and len(self.study.trials) < trials:
                    self._start()
                for number in list(self._at_work):
                    self._look(number, say)
                self._show(self.state(trials, jobs), on_change)
                if (self.folder / STOP).exists():
                    raise StoppedByUser(f"Stopped; the same command goes on. What it knows is in {self.folder}.")
                time.sleep(POLL_S if self._at_work else 0)
        except BaseException:
            for _, run in self._at_work.values():
                with suppress(StudioError):
                    queue.stop(run, self.home)
            raise

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

    def _start(self) -> None:
        self._file(self.study.ask(self.space.distributions()))

    def _file(self, trial: Any) -> None:
        """Files the run of a trial; the trial knows it before it may start, so that none is made twice."""
        try:
            run = submit(self.space.filled(trial.params, self.home), Store(self.home), self.on)
            trial.set_user_attr("run", run.id)
            enqueue(run, self.home, on=self.on)
        except StudioError:
            self._tell(trial.number, None, "fail")
            raise
        self._at_work[trial.number] = (trial, run)

    def _adopt(self) -> None:
        """Takes up the runs of trials that were at work when the sweep ended; those that ended with it go on."""
        from optuna.trial import Trial, TrialState

        for frozen in self.study.get_trials(states=(TrialState.RUNNING,)):
            try:
                run = Store(self.home).run(frozen.user_attrs.get("run") or "")
            except (StoreError, UsageError):  # the sweep ended before its run was filed
                self._file(Trial(self.study, frozen._trial_id))
                continue
            if not run.is_alive() and run.status() in ("stopped", "failed", "queued") and not self._waits(run):
                enqueue(run, self.home, resume=run.status() != "queued", on=self.on)
            self._at_work[frozen.number] = (Trial(self.study, frozen._trial_id), run)

    def _waits(self, run: RunFolder) -> bool:
        return Queue(self.home).place(run.id) is not None

    def _look(self, number: int, say: Callable[[str], None]) -> None:
        """Tells the study what the events of a run say; prunes it where it is behind."""
        trial, run = self._at_work[number]
        queue.kick(self.home)
        status = run.status()
        if status in FINAL and not self._waits(run):
            del self._at_work[number]
            if status == "finished":
                score = score_of(run, self.metric)
                self._tell(number, score, "complete")
                say(f"{run.id}: {score:.4g} with {_said(trial.params)}")
            else:
                self._tell(number, None, "fail")
                say(f"{run.id} {status} with {_said(trial.params)}: launch.py show {run.id}")
            return
        scores = validation_scores(run)
        for epoch in range(len(self.study.trials[number].intermediate_values), len(scores)):
            trial.report(scores[epoch], epoch)
        if scores and self.metric is None and trial.should_prune():
            del self._at_work[number]
            with suppress(UsageError):
                queue.stop(run, self.home)
            self._tell(number, None, "pruned")
            say(f"{run.id} is pruned after epoch {len(scores)} ({scores[-1]:.4g}) with {_said(trial.params)}")

    def _tell(self, number: int, score: float | None, how: str) -> None:
        from optuna.trial import TrialState

        self.study.tell(number, score, state=TrialState[how.upper()])

    def state(self, total: int, jobs: int) -> State:
        done = [trial for trial in self.study.trials if trial.state.is_finished()]
        best = self.best()
        seconds = [trial.duration.total_seconds() for trial in done if trial.duration]
        left_s = sum(seconds) / len(seconds) * max(0, total - len(done)) / jobs if seconds else None
        at_work = len(self._at_work)
        return State(len(done), total, at_work, best and best.value, dict(best.params) if best else {}, left_s)

    def best(self) -> Any:
        """The best trial; None before one is complete."""
        with suppress(ValueError):
            return self.study.best_trial
        return None

    def rows(self) -> list[dict[str, Any]]:
        """A row for each trial, in order."""
        return [
            {
                "run": trial.user_attrs.get("run"),
                "status": trial.state.name.lower(),
                "score": trial.value,
                **trial.params,
            }
            for trial in self.study.trials
        ]

    def draw(self) -> list[Path]:
        """Parallel coordinates, and how much each key matters (fANOVA, Hutter et al. 2014), once two runs differ."""
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
        from optuna.importance import FanovaImportanceEvaluator
        from optuna.visualization import matplotlib as pictures

        values = {trial.value for trial in self.study.trials if trial.state.name == "COMPLETE"}
        if len(values) < 2:
            return []
        fanova = FanovaImportanceEvaluator(seed=0)
        drawn = {
            "parallel": pictures.plot_parallel_coordinate(self.study, target_name="score"),
            "importance": pictures.plot_param_importances(self.study, evaluator=fanova, target_name="score"),
        }
        for name, axes in drawn.items():
            axes.figure.savefig(self.folder / f"{name}.png", dpi=110, bbox_inches="tight")
            pyplot.close(axes.figure)
        return [self.folder / f"{name}.png" for name in drawn]


def _said(values: dict[str, Any]) -> str:
    return ", ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in values.items()
    )
