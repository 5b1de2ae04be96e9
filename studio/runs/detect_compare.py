"""How detectors are compared: each is trained on the same pictures for the same epochs; one table, one picture."""

import time
from dataclasses import dataclass, replace
from typing import Any

from studio.core.errors import UsageError
from studio.core.faces import Comparison, Detector
from studio.core.procedure import Job, Outcome, Procedure
from studio.core.registry import procedure
from studio.data.box_batches import BoxBatches, masks_of
from studio.data.box_splits import resolve_box_splits
from studio.data.splits import Splits
from studio.figures import compared_curves_figure
from studio.metrics.detection import best_threshold, coco_ap
from studio.runs.detecting import begin, decoded_split, detect, fit, leave, refuse_for_boxes, see
from studio.runs.meters import Meter
from studio.store.state import load_state, save_state

MOST_OF = 0.9  # share of the best validation AP by which the speed of learning is told
COLUMNS = [
    "detector", "AP", "AP50", "AP small", "AP medium", "AP large", "pictures/s", "memory MB", "best epoch",
    "epochs to 90%", "seconds", "checkpoint",
]  # fmt: skip


@dataclass
class Trained:
    """What one detector came to: its metrics, its epochs, what it cost, and the checkpoint it left."""

    metrics: dict[str, Any]
    history: list[dict[str, float]]
    seconds: float
    checkpoint: str


@procedure
class ComparingDetectors(Procedure):
    """Runs every Comparison of task detect."""

    task = "detect"
    face = Comparison

    def run(self, job: Job) -> Outcome:
        recipe = job.recipe
        if recipe.train.epochs == 0 or recipe.model.checkpoint:
            raise UsageError(f"{recipe.method} trains anew: leave out train.epochs: 0 and model.checkpoint.")
        refuse_for_boxes(job)
        splits = resolve_box_splits(recipe.data, recipe.train.seed, job.home)
        for remark in (splits.note, *splits.train.remarks):
            job.events.note(remark)
        results: dict[str, Trained] = {}
        for name, learner in job.method.learners().items():
            try:
                results[name] = self._train(job, splits, name, learner)
            except UsageError as error:
                if not results:  # where the first fails, it is the recipe or the data
                    raise
                job.events.warning(f"{name} is left out: {error}")
        job.table("comparison", COLUMNS, rows(results))
        job.figure("comparison", compared_curves_figure({name: one.history for name, one in results.items()}))
        best = max(results, key=lambda name: results[name].metrics["map"] or 0.0)
        return Outcome(
            {
                **results[best].metrics,
                "best": best,
                "map_by_name": {name: one.metrics["map"] for name, one in results.items()},
                "selection": recipe.eval.selection,
                "scored_on": f"{'val' if splits.test is None else 'test'}; the best of {len(results)} on these very "
                "pictures",
            },
            results[best].checkpoint,
        )

    def _train(self, job: Job, splits: Splits, name: str, learner: Detector) -> Trained:
        """One detector, trained, scored and left as a checkpoint; kept in the resume state when done."""
        done = job.folder / "state" / f"{name.replace('/', '-')} done"
        if job.resume and (saved := load_state(done)) is not None:
            return Trained(**saved)
        alone = job.recipe.model_copy(update={"method": name, "params": learner.params.model_dump()})
        own = replace(job, method=learner, recipe=alone)
        begun, meter = time.monotonic(), Meter(job.device, alone=True)
        start = begin(own, splits.train.classes)
        train = decoded_split(own, splits.train, start.preprocess, "train")
        val = decoded_split(own, splits.val, start.preprocess, "val")
        batches = BoxBatches(
            train.decoded.pixels, train.inputs, start.preprocess, alone.train, masks_of(train.decoded.dataset)
        )
        progress = fit(own, start, batches, val, name.replace("/", "-"))
        costs = meter.read()
        if progress.best is not None and alone.eval.selection != "last":
            learner.load_state(progress.best)
        threshold = best_threshold(val.truths, detect(own, learner, val, start.preprocess), len(start.classes))
        test = val if splits.test is None else decoded_split(own, splits.test, start.preprocess, "test")
        looked = time.monotonic()
        found = see(own, start, test)
        metrics = {
            **coco_ap(test.truths, found, start.classes),
            "images_per_s": round(len(found) / (time.monotonic() - looked), 2),
            "peak_memory_mb": costs["peak_memory_mb"],
            "best_epoch": progress.best_epoch,
            "score_threshold": round(threshold, 4),
        }
        made = Trained(metrics, progress.history, time.monotonic() - begun, leave(own, start, metrics).id)
        save_state(done, vars(made))
        return made


def rows(results: dict[str, Trained]) -> list[list[Any]]:
    """A row a detector, best first."""
    table = []
    for name, one in sorted(results.items(), key=lambda pair: -(pair[1].metrics["map"] or 0.0)):
        scores = [one.metrics[key] for key in ("map", "map_50", "map_small", "map_medium", "map_large")]
        table.append([
            name, *(None if score is None else round(score, 4) for score in scores), one.metrics["images_per_s"],
            one.metrics["peak_memory_mb"], one.metrics["best_epoch"], epochs_to(one.history), round(one.seconds, 1),
            one.checkpoint,
        ])  # fmt: skip
    return table


def epochs_to(history: list[dict[str, float]], share: float = MOST_OF) -> float | None:
    """The first epoch with this share of the best validation AP; None where nothing was ever found."""
    best = max((entry["map"] for entry in history), default=0.0)
    return next((entry["epoch"] for entry in history if entry["map"] >= share * best), None) if best else None
