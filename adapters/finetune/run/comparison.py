"""How learners are compared: each is trained on the same images in the same order; one table, one image."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from adapters.finetune.run.classifier import setup_classifier, train_classifier
from studio.core.errors import UsageError
from studio.core.faces import Comparison, Learner
from studio.core.procedure import DONE, Job, Outcome, Procedure
from studio.core.registry import procedure
from studio.data import require_classes, resolve_splits
from studio.data.splits import Splits
from studio.engine.decoded import MARGIN, decode_split, predict_pixels
from studio.figures import compared_curves_figure
from studio.metrics import classification_report, paired_difference
from studio.store.state import load_state, save_state

COLUMNS = ["trained", "accuracy", "±95%", "minus first", "±95% paired", "macro F1", "ECE", "best epoch", "seconds"]


@dataclass
class Trained:
    """What one learner came to: probabilities [N, C] and labels [N] of the scored images, its epochs, its cost."""

    probabilities: np.ndarray
    labels: np.ndarray
    history: list[dict[str, float]]
    best_epoch: int
    seconds: float


@procedure
class Comparing(Procedure):
    """Runs every Comparison of task classify."""

    task = "classify"
    face = Comparison

    def run(self, job: Job) -> Outcome:
        recipe = job.recipe
        if recipe.train.folds or recipe.train.epochs == 0 or recipe.model.checkpoint:
            raise UsageError(f"{recipe.method} trains anew: leave out train.folds, train.epochs: 0, model.checkpoint.")
        splits = resolve_splits(recipe.data, recipe.train.seed, job.home)
        require_classes(splits.train, 2)
        job.events.note(splits.note)
        results = {}
        for name, learner in job.method.learners().items():
            try:
                results[name] = self._train(job, splits, name, learner)
            except UsageError as error:
                if not job.method.skips or not results:  # where the first fails, it is the recipe or the data
                    raise
                job.events.warning(f"{name} is left out: {error}")
        reports = {name: classification_report(one.probabilities, one.labels) for name, one in results.items()}
        job.table("comparison", COLUMNS, rows(results, reports))
        job.figure("comparison", compared_curves_figure({name: one.history for name, one in results.items()}))
        best = max(reports, key=lambda name: reports[name]["accuracy"])
        return Outcome({
            **reports[best],
            "best": best,
            "accuracy_by_name": {name: values["accuracy"] for name, values in reports.items()},
            "selection": recipe.eval.selection,
            "scored_on": f"{'val' if splits.test is None else 'test'}; the best of {len(results)} on these very images",
        })  # fmt: skip

    def _train(self, job: Job, splits: Splits, name: str, learner: Learner) -> Trained:
        """One learner, trained and scored; kept in the resume state when done."""
        done = job.folder / "state" / f"{name}{DONE}"
        if job.resume and (saved := load_state(done)) is not None:
            return Trained(**saved)
        begun = time.monotonic()
        session = setup_classifier(job, learner, splits.train, name)
        train = decode_split(job, splits.train, session.preprocess, "train", MARGIN)
        val = decode_split(job, splits.val, session.preprocess, "val")
        progress = train_classifier(job, session, train, val, name)
        if progress.best is not None and job.recipe.eval.selection != "last":
            learner.load_state(progress.best)
        test = val if splits.test is None else decode_split(job, splits.test, session.preprocess, "test")
        made = Trained(
            predict_pixels(job, learner, test, session.preprocess),
            test.dataset.labels,
            progress.history,
            progress.best_epoch,
            time.monotonic() - begun,
        )
        save_state(done, vars(made))
        return made


def rows(results: dict[str, Trained], reports: dict[str, dict[str, float]]) -> list[list[Any]]:
    """A row a learner, best first; differences to the first are paired over images."""
    right = {name: one.probabilities.argmax(axis=1) == one.labels for name, one in results.items()}
    first = next(iter(results))
    table = []
    for name in sorted(results, key=lambda name: -reports[name]["accuracy"]):
        values, one = reports[name], results[name]
        pair = (None, None) if name == first else paired_difference(right[name], right[first])
        numbers = [values["accuracy"], values["accuracy_ci95"], *pair, values["macro_f1"], values["ece"]]
        shown = [number if number is None else round(float(number), 4) for number in numbers]
        table.append([name, *shown, one.best_epoch, round(one.seconds, 1)])
    return table
