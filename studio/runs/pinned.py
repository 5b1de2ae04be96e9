"""Names of checkpoints in a filed recipe become ids: `last` is the newest now, not the run that is being filed.

Data versions get the hash of their content, so that run and checkpoint say which one they learned from.
"""

import re
from typing import Any

from studio.core.errors import StudioError
from studio.core.recipe import Recipe
from studio.store import Store
from studio.store.versions import facts_of

VERSION = re.compile(r"(version:)([\w.-]+)(?![\w.?-])")  # without options yet
STEP = re.compile(r"(\|\s*translate:)([^?\s|,]+)")  # of data: folder:x | translate:CHECKPOINT


def pinned(recipe: Recipe, store: Store) -> Recipe:
    """The recipe with each checkpoint that it goes on from, or makes its data with, named by id, and with the content
    of each data version that it names.

    One that is not there yet keeps its name: it may come before the run's turn does.
    """

    def id_of(name: str) -> str:
        try:
            return store.checkpoint(name).id
        except StudioError:  # which whoever works on the run is told
            return name

    def with_content(version: re.Match[str]) -> str:
        try:
            return facts_of(store.home, version[2]).spec
        except StudioError:
            return version[0]

    model, data, evaluation = recipe.model, dict[str, Any](), dict[str, Any]()
    if model.checkpoint:
        model = model.model_copy(update={"checkpoint": id_of(model.checkpoint)})
    for key, value in recipe.data:
        if isinstance(value, str):
            named = STEP.sub(lambda step: step[1] + id_of(step[2]), value)
            data[key] = VERSION.sub(with_content, named)
    if names := getattr(recipe.eval, "ensemble", None):
        evaluation["ensemble"] = [id_of(name) for name in names]
    changed = {
        "model": model,
        "data": recipe.data.model_copy(update=data),
        "eval": recipe.eval.model_copy(update=evaluation),
    }
    return recipe.model_copy(update=changed)
