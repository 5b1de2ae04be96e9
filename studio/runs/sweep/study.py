"""A study: Optuna asks for runs of one recipe, and the event stream answers.

All that is known is in `study.sqlite` of the sweep's folder. Tree-structured Parzen estimator: Bergstra et al. 2011; a
run is pruned at an epoch where it is behind the median of those before it.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from studio.core.errors import StudioError, UsageError
from studio.core.home import Home
from studio.runs import queue
from studio.runs.sweep.score import score_of, validation_scores
from studio.runs.sweep.space import Space
from studio.runs.sweep.sweep import State, Sweep
from studio.store import RunFolder

NO_OPTUNA = "Sweeps need Optuna: pip install -r requirements-cluster.txt"


class Study(Sweep):
    """The search of a space by so many trials."""

    def __init__(
        self, space: Space, home: Home, trials: int = 20, metric: str | None = None, on: str | None = None
    ) -> None:  # fmt: skip
        """`on` is the cluster that works on the runs, None this machine.

        Raises UsageError where Optuna is missing or the space names a key or a value that the recipe has not.
        """
        try:
            import optuna
        except ImportError as error:
            raise UsageError(NO_OPTUNA) from error
        recipe = space.check(home)
        what = [recipe.model_dump(), [asdict(over) for over in space.overs], metric]
        super().__init__(Path(space.recipe).stem, what, home, on)
        self.space, self.trials, self.metric = space, trials, metric
        optuna.logging.set_verbosity(logging.WARNING)
        storage = f"sqlite:///{self.folder / 'study.sqlite'}"
        self.study = optuna.create_study(
            storage=storage, study_name=self.name, load_if_exists=True, direction="maximize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1),
        )  # fmt: skip
        drawn = recipe.train.seed + len(self.study.trials)  # what is drawn after a break is not what was drawn before
        self.study.sampler = optuna.samplers.TPESampler(seed=drawn, constant_liar=True)

    def _more(self) -> bool:
        return len(self.study.trials) < self.trials

    def _start(self) -> None:
        self._try(self.study.ask(self.space.distributions()))

    def _try(self, trial: Any) -> None:
        try:
            self._file(trial.number, self.space.filled(trial.params, self.home))
        except StudioError:
            self._tell(trial.number, None, "fail")
            raise

    def _remember(self, key: int, run: RunFolder) -> None:
        self._trial(key).set_user_attr("run", run.id)

    def _trial(self, number: int) -> Any:
        from optuna.trial import Trial

        return Trial(self.study, self.study.trials[number]._trial_id)

    def _adopt(self) -> None:
        from optuna.trial import TrialState

        for frozen in self.study.get_trials(states=(TrialState.RUNNING,)):
            if not self._take_up(frozen.number, frozen.user_attrs.get("run")):  # it ended before its run was filed
                self._try(self._trial(frozen.number))

    def _ended(self, key: int, run: RunFolder, status: str, say: Callable[[str], None]) -> None:
        values = _said(self.study.trials[key].params)
        if status == "finished":
            score = score_of(run, self.metric)
            self._tell(key, score, "complete")
            say(f"{run.id}: {score:.4g} with {values}")
        else:
            self._tell(key, None, "fail")
            say(f"{run.id} {status} with {values}: launch.py show {run.id}")

    def _watch(self, key: int, run: RunFolder, say: Callable[[str], None]) -> None:
        """Tells the study what the events of a run say; prunes it where it is behind."""
        scores, trial = validation_scores(run), self._trial(key)
        for epoch in range(len(self.study.trials[key].intermediate_values), len(scores)):
            trial.report(scores[epoch], epoch)
        if scores and self.metric is None and trial.should_prune():
            del self._at_work[key]
            with suppress(UsageError):
                queue.stop(run, self.home)
            self._tell(key, None, "pruned")
            say(f"{run.id} is pruned after epoch {len(scores)} ({scores[-1]:.4g}) with {_said(trial.params)}")

    def _tell(self, number: int, score: float | None, how: str) -> None:
        from optuna.trial import TrialState

        self.study.tell(number, score, state=TrialState[how.upper()])

    def state(self, jobs: int) -> State:
        done = [trial for trial in self.study.trials if trial.state.is_finished()]
        best = self.best()
        seconds = [trial.duration.total_seconds() for trial in done if trial.duration]
        left_s = sum(seconds) / len(seconds) * max(0, self.trials - len(done)) / jobs if seconds else None
        at_work = len(self._at_work)
        return State(len(done), self.trials, at_work, best and best.value, dict(best.params) if best else {}, left_s)

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
