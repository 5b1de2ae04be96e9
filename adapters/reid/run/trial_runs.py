"""A run from its trials to its checkpoint, the same whatever embeds: learned or solved, scored, shown, kept."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from adapters.reid.data.trials import Trial, resolve_trials
from adapters.reid.run.camera_statistics import centred_sides
from adapters.reid.run.gallery import Gallery
from adapters.reid.run.predictor import Calibration, calibrated
from adapters.reid.run.report import report
from adapters.reid.run.scoring import Scored, Side, score
from studio.core.errors import DataError
from studio.core.procedure import Job, Outcome
from studio.data.domains import TargetSet
from studio.data.items import Dataset
from studio.data.splits import some
from studio.engine.meters import Meter
from studio.store import Checkpoint


class Embedder(Protocol):
    """What was learned or solved in one trial.

    `before` is how it ranked before it looked at a target, None where it does not adapt; it `began` from source,
    checkpoint or backbone.
    """

    before: Scored | None
    began: str

    def embed(self, dataset: Dataset, what: str, by_camera: bool = False) -> tuple[np.ndarray, Dataset]:
        """Embeddings float32 [N, D] of the images that can be read, and those images; `what` names them for people.

        `by_camera`: under the statistics of each camera's own images.
        """
        ...

    def save(self, gallery: Gallery, metrics: dict[str, Any], calibration: Calibration) -> Checkpoint:
        """The checkpoint, with its gallery and what distances mean."""
        ...


def run_trials(job: Job, learn: Callable[[Trial, str], Embedder]) -> Outcome:
    """Learns and scores each trial; what the first learned is kept. `learn` is told a name where there are several."""
    recipe = job.recipe
    trials = resolve_trials(recipe.data, recipe.eval, recipe.train.seed, job.home)
    _require_cameras(recipe.eval.camera_statistics, "eval.camera_statistics", trials[0].query, trials[0].gallery)
    _require_cameras(getattr(job.method.params, "by_camera", "none"), "params.by_camera", trials[0].target)
    meter, scored, before, kept = Meter(job.device), list[Scored](), list[Scored](), None
    for number, trial in enumerate(trials, start=1):
        for note in trial.notes[: None if number == 1 else 1]:
            job.events.note(note)
        embedder = learn(trial, f"split {number}" if len(trials) > 1 else "")
        kept = kept or embedder
        scored.append(score_trial(job, embedder, trial))
        before += [embedder.before] if embedder.before is not None else []
        meter.images += len(trial.query) + len(trial.gallery) + len(trial.train or ())
    throughput = meter.read()
    metrics = {**report(job, scored, before), **throughput, "selection": recipe.eval.selection}
    if kept is not None and before:
        metrics["direct_from"] = kept.began
    calibration = calibrated([each.ranking for each in scored])
    if calibration.how:
        job.events.note(calibration.how)
    assert kept is not None
    if recipe.eval.camera_statistics != "none":
        job.events.note(
            "Scored under the statistics of each camera. A photo that is asked later is of no known camera: it and the "
            "stored gallery are looked at without them, and distances may differ."
        )
    if len(trials) > 1:
        job.events.note("The checkpoint is what the first split learned; its gallery knows everyone.")
    gallery = Gallery.of(*kept.embed(trials[0].known, "the stored gallery"))
    return Outcome(metrics, kept.save(gallery, metrics, calibration).id)


def _require_cameras(wanted: str, key: str, *parts: Dataset | TargetSet | None) -> None:
    """Raises DataError where the images name fewer than two cameras, and what sets cameras apart is `wanted`."""
    known = [part for part in parts if part is not None]
    named = sorted({item.camera for part in known for item in part.items if item.camera})
    if wanted != "none" and known and len(named) < 2:
        raise DataError(
            f"{key}: {wanted} sets cameras apart, and {known[0].spec} names {some(named) if named else 'none'}. "
            "Set it to none, or name cameras by folders or ?names=."
        )


def score_trial(job: Job, embedder: Embedder, trial: Trial) -> Scored:
    """The ranking of a trial's queries; where they are the gallery too, its images are looked at once."""
    statistics = job.recipe.eval.camera_statistics
    by_camera = statistics == "norms"
    query = Side(*embedder.embed(trial.query, "the queries", by_camera))
    same = trial.gallery is trial.query
    gallery = query if same else Side(*embedder.embed(trial.gallery, "the gallery", by_camera))
    if statistics == "mean":
        query, gallery = centred_sides(query, gallery)
    return score(query, gallery, job.recipe.eval, job.recipe.train.seed)
