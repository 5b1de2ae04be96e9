"""How detectors are compared: each is trained on the same images for the same epochs; one table, one image."""

import time
from dataclasses import dataclass, replace
from typing import Any

from adapters.detect.data.domains import of_classes
from adapters.detect.data.splits import resolve_box_splits
from adapters.detect.face import Detector
from adapters.detect.procedure import (
    box_batches,
    decoded_split,
    predict_split,
    predict_with_tta,
    setup_detector,
    train_detector,
)  # fmt: skip
from studio.core import recipe as recipes
from studio.core.errors import UsageError
from studio.core.faces import Comparison, PretrainStage
from studio.core.procedure import DONE, Job, Outcome, Procedure
from studio.core.registry import procedure
from studio.data.boxes import shared
from studio.data.splits import Splits
from studio.engine.meters import Meter
from studio.engine.session import save_checkpoint
from studio.figures import compared_curves_figure
from studio.metrics.detection import best_threshold, coco_ap, known_and_new
from studio.store.state import load_state, save_state

MOST_OF = 0.9  # share of the best validation AP by which the speed of learning is told
COLUMNS = [
    "detector", "AP", "AP50", "AP small", "AP medium", "AP large", "images/s", "memory MB", "best epoch",
    "epochs to 90%", "seconds", "checkpoint",
]  # fmt: skip
BASE = "before the shots"  # the row of what the others go on from
KNOWN = ["AP known", "AP new"]  # columns where some go on from other classes


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
        stage = job.method.pretrain_stage(recipe)
        if recipe.train.epochs == 0 or (recipe.model.checkpoint and stage is None):
            raise UsageError(f"{recipe.method} trains anew: leave out train.epochs: 0 and model.checkpoint.")
        splits = resolve_box_splits(recipe.data, recipe.train.seed, job.home)
        for remark in (splits.note, *splits.train.remarks):
            job.events.note(remark)
        first = self._pretrain(job, splits, stage) if stage is not None and stage.overrides is not None else None
        parent = first.checkpoint if first else recipe.model.checkpoint
        known = shared(job.store.checkpoint(parent).manifest.classes, splits.train.classes) if parent else None
        results: dict[str, Trained] = {}
        for name, learner in job.method.learners().items():
            try:
                own = parent if stage is not None and name in stage.followed_by else None
                results[name] = self._train(job, splits, name, learner, own, known)
            except UsageError as error:
                if not results:  # where the first fails, it is the recipe or the data
                    raise
                job.events.warning(f"{name} is left out: {error}")
        table = rows(results) if stage is None else with_known(results, first)
        job.table("comparison", COLUMNS if stage is None else [*COLUMNS[:3], *KNOWN, *COLUMNS[3:]], table)
        job.figure("comparison", compared_curves_figure({name: trained.history for name, trained in results.items()}))
        best = max(results, key=lambda name: results[name].metrics["map"] or 0.0)
        return Outcome(
            {
                **results[best].metrics,
                "best": best,
                "map_by_name": {name: trained.metrics["map"] for name, trained in results.items()},
                "selection": recipe.eval.selection,
                "scored_on": f"{'val' if splits.test is None else 'test'}; the best of {len(results)} on these very "
                "images",
            },
            results[best].checkpoint,
        )

    def _pretrain(self, job: Job, splits: Splits, stage: PretrainStage) -> Trained:
        """What others go on from, trained on its own data and scored on their images, for the classes it knows."""
        values = job.recipe.model_dump()
        for key, value in (stage.overrides or {}).items():
            recipes.put(values, key, value)
        own = replace(job, recipe=recipes.validate(type(job.recipe), values))
        data = resolve_box_splits(own.recipe.data, own.recipe.train.seed, job.home)
        scored, _ = of_classes(splits.test or splits.val, data.train.classes)
        return self._train(own, replace(data, test=scored), BASE, stage.learner)

    def _train(
        self, job: Job, splits: Splits, name: str, learner: Detector, start_from: str | None = None,
        known: list[str] | None = None,
    ) -> Trained:  # fmt: skip
        """One detector, trained from a checkpoint or anew, scored and left; kept in the resume state when done."""
        done = job.folder / "state" / f"{name.replace('/', '-')}{DONE}"
        if job.resume and (saved := load_state(done)) is not None:
            return Trained(**saved)
        model = job.recipe.model.model_copy(update={"checkpoint": start_from})
        alone = job.recipe.model_copy(
            update={"method": learner.id, "params": learner.params.model_dump(), "model": model}
        )
        own = replace(job, method=learner, recipe=alone)
        begun, meter = time.monotonic(), Meter(job.device, alone=True)
        session = setup_detector(own, splits.train.classes)
        train = decoded_split(own, splits.train, session.preprocess, "train")
        val = decoded_split(own, splits.val, session.preprocess, "val")
        batches = box_batches(own, train, session.preprocess)
        progress = train_detector(own, session, batches, val, name.replace("/", "-"))
        costs = meter.read()
        if progress.best is not None and alone.eval.selection != "last":
            learner.load_state(progress.best)
        detections = predict_split(own, learner, val, session.preprocess)
        threshold = best_threshold(val.truths, detections, len(session.classes))
        test = val if splits.test is None else decoded_split(own, splits.test, session.preprocess, "test")
        begun_test = time.monotonic()
        test_detections = predict_with_tta(own, session, test)
        numbers = coco_ap(test.truths, test_detections, session.classes)
        metrics = {
            **numbers,
            **(known_and_new(numbers["map_per_class"], known) if known is not None else {}),
            "images_per_s": round(len(test_detections) / (time.monotonic() - begun_test), 2),
            "peak_memory_mb": costs["peak_memory_mb"],
            "best_epoch": progress.best_epoch,
            "score_threshold": round(threshold, 4),
        }
        made = Trained(metrics, progress.history, time.monotonic() - begun, save_checkpoint(own, session, metrics).id)
        save_state(done, vars(made))
        return made


def _short(score: float | None) -> float | None:
    return None if score is None else round(score, 4)


def rows(results: dict[str, Trained]) -> list[list[Any]]:
    """A row a detector, best first."""
    table = []
    for name, trained in sorted(results.items(), key=lambda pair: -(pair[1].metrics["map"] or 0.0)):
        scores = [trained.metrics[key] for key in ("map", "map_50", "map_small", "map_medium", "map_large")]
        table.append([
            name, *map(_short, scores), trained.metrics["images_per_s"],
            trained.metrics["peak_memory_mb"], trained.metrics["best_epoch"], epochs_to(trained.history),
            round(trained.seconds, 1), trained.checkpoint,
        ])  # fmt: skip
    return table


def with_known(results: dict[str, Trained], first: Trained | None) -> list[list[Any]]:
    """As `rows`, with AP of the classes known before and of the new ones; above them the one that others went on from,
    which can be scored on the classes it knew alone."""
    table = []
    for row in rows(results):
        numbers = results[row[0]].metrics
        table.append([*row[:3], *(_short(numbers.get(key)) for key in ("map_known", "map_new")), *row[3:]])
    if first is not None:
        row = rows({BASE: first})[0]
        table.insert(0, [BASE, None, None, row[1], None, None, None, None, *row[6:]])
    return table


def epochs_to(history: list[dict[str, float]], share: float = MOST_OF) -> float | None:
    """The first epoch with this share of the best validation AP; None where nothing was ever found."""
    best = max((entry["map"] for entry in history), default=0.0)
    return next((entry["epoch"] for entry in history if entry["map"] >= share * best), None) if best else None
