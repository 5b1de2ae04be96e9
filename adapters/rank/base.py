"""How a ranking is run: the method looks and reports; no checkpoint is left."""

from dataclasses import replace
from typing import Any

import numpy as np

from studio.core import registry
from studio.core.errors import DataError, UsageError
from studio.core.home import Home
from studio.core.procedure import Job, Outcome, Predictor, Procedure
from studio.core.registry import Method, procedure
from studio.data import Dataset
from studio.data.features import extract


class Ranking(Method):
    """A method that compares backbones or domains before anything is trained."""

    task = "rank"

    def rank(self, job: Job) -> dict[str, Any]:
        """The metrics; tables, figures and warnings go into the job's events."""
        raise NotImplementedError


@procedure
class RankingProcedure(Procedure):
    """Runs every method of task rank."""

    task = "rank"
    face = Ranking

    def run(self, job: Job) -> Outcome:
        return Outcome(job.method.rank(job))

    def restore(self, checkpoint: Any, device: str, home: Home, store: Any) -> Predictor:
        raise UsageError("A ranking leaves nothing to predict with; run a classify or align recipe for that.")


def backbone_of(job: Job, spec: str) -> Any:
    """The frozen backbone named by `spec`, on the job's device."""
    return registry.backbone(spec, home=job.home, image_size=job.recipe.model.image_size).to(job.device).eval()


def features_of(job: Job, dataset: Dataset, backbone: Any, what: str) -> tuple[np.ndarray, Dataset]:
    """Features [n, D] through the cache, and the images that could be read; the others are named in warnings."""
    features, kept = extract(
        dataset,
        backbone,
        home=job.home,
        device=job.device,
        precision=job.precision,
        workers=job.recipe.train.workers,
        on_progress=lambda done, total: job.events.progress(what, done, total),
        should_stop=job.should_stop,
    )
    warn_of_skipped(job, kept)
    if len(kept) == 0:
        raise DataError(f"No readable image is left in {dataset.spec}.")
    return features, replace(kept, skipped=[])


def warn_of_skipped(job: Job, dataset: Dataset) -> None:
    """Names every file that was left out."""
    for skip in dataset.skipped:
        job.events.warning(f"left out {skip.name}: {skip.reason}")
