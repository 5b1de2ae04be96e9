"""The manifest of a checkpoint, the same for every wing."""

from typing import Any

from studio.core.procedure import Job
from studio.store import Manifest


def manifest_of(
    job: Job, classes: list[str], metrics: dict[str, Any], backbone: Any | None, params: Any | None = None, **more: Any
) -> Manifest:
    """What a checkpoint says of itself: its method, classes, numbers, the run it came from.

    Without a `backbone` it was made on feature vectors. `params` where they are not the method's as the run began.
    """
    recipe, seen = job.recipe, {}
    if backbone is not None:
        seen["preprocess"] = backbone.preprocess.to_dict()
        seen["backbone"] = {
            "spec": backbone.spec,
            "hash": backbone.hash,
            "image_size": backbone.preprocess.image_size,
            "architecture": backbone.architecture,
        }
    return Manifest(
        face=job.method.face,
        task=recipe.task,
        method=recipe.method,
        title=job.method.title,
        classes=classes,
        params=(params or job.method.params).model_dump(),
        metrics=metrics,
        lineage={"run": job.run_id, "parent": recipe.model.checkpoint},
        recipe=recipe.model_dump(exclude_defaults=True),
        **seen,
        **more,
    )
