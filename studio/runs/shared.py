"""What the classify procedures share: features of a split, the manifest of a checkpoint."""

from typing import Any

import numpy as np

from studio.core.errors import DataError
from studio.core.procedure import Job
from studio.data import Dataset
from studio.data.features import extract
from studio.store import Manifest


def features_of(job: Job, dataset: Dataset, backbone: Any, what: str) -> tuple[np.ndarray, Dataset]:
    """Features [N, D] of a split through the cache, and the images that could be read."""
    features, kept = extract(
        dataset,
        backbone,
        home=job.home,
        device=job.device,
        precision=job.precision,
        workers=job.recipe.train.workers,
        on_progress=lambda done, total: job.events.progress(f"features of {what}", done, total),
        on_note=job.events.note,
        should_stop=job.should_stop,
    )
    for skip in kept.skipped:
        job.events.warning(f"left out {skip.name}: {skip.reason}")
    if len(kept) == 0:
        raise DataError(f"No readable image is left in the {what} split of {dataset.spec}.")
    return features, kept


def manifest_of(job: Job, backbone: Any, classes: list[str], metrics: dict[str, Any]) -> Manifest:
    """The manifest that every classify checkpoint shares."""
    recipe = job.recipe
    return Manifest(
        face=next(base.__name__ for base in type(job.method).__mro__ if base.__module__ == "studio.core.faces"),
        task=recipe.task,
        method=recipe.method,
        classes=classes,
        preprocess=backbone.preprocess.to_dict(),
        backbone={
            "spec": backbone.spec,
            "hash": backbone.hash,
            "image_size": backbone.preprocess.image_size,
            "architecture": backbone.architecture,
        },
        params=job.method.params.model_dump(),
        metrics=metrics,
        lineage={"run": job.run_id, "parent": recipe.model.checkpoint},
        recipe=recipe.model_dump(exclude_defaults=True),
    )
