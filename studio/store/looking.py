"""A stored checkpoint asked to look in another way: keys of its recipe's `eval`, nothing stored is changed."""

from collections.abc import Mapping
from typing import Any

from studio.core import registry
from studio.core.errors import UsageError, nearest
from studio.core.recipe import stored, validate
from studio.store.checkpoint import Checkpoint


def looking(checkpoint: Checkpoint, look: Mapping[str, Any]) -> Checkpoint:
    """The checkpoint with other ways of looking in its recipe. Raises UsageError for a key that is not one of them."""
    manifest = checkpoint.manifest
    task = registry.task_named(manifest.task)
    if not task.looks:
        raise UsageError(
            f"{checkpoint.id} was made by {manifest.method} for task {task.name}, which takes no {', '.join(look)}."
        )
    if unknown := [key for key in look if key not in task.looks]:
        raise UsageError(f"look: unknown key {unknown[0]!r}.{nearest(unknown[0], task.looks)}")
    recipe = stored({"task": task.name, **manifest.recipe})
    settings = {**recipe.eval.model_dump(exclude_defaults=True), **look}
    validate(task.Eval, settings, "look")
    return checkpoint.with_recipe({**manifest.recipe, "eval": settings})
