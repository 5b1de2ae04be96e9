"""What the classify procedures share: the manifest of a checkpoint."""

from typing import Any

from studio.core.procedure import Job
from studio.store import Manifest


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
