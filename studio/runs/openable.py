"""What a recipe names is what one who asks may open: a visitor of a hosted page is told at once, not by a failed run.

Whoever works on the run asks again as it opens each file, with the same sentences.
"""

import re
from pathlib import Path

from studio.core.recipe import Recipe
from studio.core.rights import SAVED_HERE, Rights
from studio.data.specs import parse, require_allowed
from studio.store import Store
from studio.store.versions import facts_of


def require_openable(recipe: Recipe, store: Store) -> None:
    """Raises DataError or UsageError for the first file, checkpoint or data that may not be opened or is none."""
    rights = store.home.rights
    if rights.local:  # everything may be opened, and what is not there yet may come
        return
    params = recipe.method_params()
    given = [value for _, value in recipe.data if isinstance(value, str) and value]
    like = getattr(recipe.train, "restyle_like", None)
    for spec in filter(None, [*given, like, *params.data_specs()]):
        require_allowed(spec, rights)
        for version in (part.rest for part in parse(spec) if part.scheme == SAVED_HERE):
            facts_of(store.home, version)
    for name in filter(None, [recipe.model.backbone, getattr(recipe.eval, "features", None), *params.backbone_names()]):
        _require_backbone(name, rights, store)
    for name in filter(None, [recipe.model.checkpoint, *getattr(recipe.eval, "ensemble", ())]):
        store.checkpoint(name)
    for key, value in recipe.eval:
        if key.endswith("_file") and value:
            rights.require(Path(value), f"eval.{key}")


def _require_backbone(name: str, rights: Rights, store: Store) -> None:
    if name.startswith("file:"):
        rights.require(Path(name.removeprefix("file:")), "model.backbone")
    elif name.startswith("store/"):
        store.checkpoint(re.split("[?@]", name.removeprefix("store/"))[0])
