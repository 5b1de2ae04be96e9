"""The studio from Python: `run` a recipe, `load_checkpoint` to predict."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from studio.core import recipe as recipes
from studio.core.errors import StudioError, UsageError
from studio.core.home import Home
from studio.runs.executors import run_inline
from studio.runs.predict import Model, load_checkpoint
from studio.runs.runner import Result, submit
from studio.store import Store

__all__ = ["Model", "Result", "load_checkpoint", "run"]


def run(
    recipe: str | Path | Mapping[str, Any] | recipes.Recipe,
    overrides: Mapping[str, Any] | None = None,
    *,
    home: Home | None = None,
) -> Result:
    """Runs a recipe here and returns its `Result` (`.metrics`, `.run`, `.checkpoint`, `.status`).

    `recipe` is a preset name, a YAML file, a mapping or a Recipe; `overrides` maps dotted keys to
    values, such as `{"eval.shots": 1}`. Raises UsageError for a wrong recipe or unusable data, and
    StudioError where the run failed; a run stopped by the user returns with status "stopped".
    """
    home = home or Home.find()
    store = Store(home)
    result = run_inline(submit(_recipe(recipe, overrides, home), store), home)
    if result.status == "failed":
        kind = UsageError if result.exit_code == UsageError.exit_code else StudioError
        raise kind(result.error)
    return result


def _recipe(recipe: Any, overrides: Mapping[str, Any] | None, home: Home) -> recipes.Recipe:
    if isinstance(recipe, (str, Path)):
        return recipes.load(str(recipe), dict(overrides or {}), home)
    values = recipe.model_dump(exclude_unset=True) if isinstance(recipe, recipes.Recipe) else dict(recipe)
    notes = recipes.override(values, overrides or {})
    return recipes.parse(values, notes)
