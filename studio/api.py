"""The studio from Python: `run` a recipe, `estimate` what it costs before, `load_checkpoint` to predict."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from studio.core import recipe as recipes
from studio.core.errors import StudioError, UsageError
from studio.core.home import Home
from studio.data import saved_version
from studio.runs import comparison
from studio.runs.comparison import Comparison
from studio.runs.cost import PROBE_S, Cost
from studio.runs.cost import estimate as estimate_cost
from studio.runs.embed import embed, nearest
from studio.runs.executors import run_inline
from studio.runs.predict import Model, load_checkpoint
from studio.runs.runner import Result, submit
from studio.store import Store, version_changes
from studio.store.version_changes import Changes
from studio.store.versions import Facts

__all__ = [
    "Comparison", "Cost", "Model", "Result", "compare", "compare_versions", "embed", "estimate", "load_checkpoint",
    "nearest", "run", "save_version",
]  # fmt: skip


def run(
    recipe: str | Path | Mapping[str, Any] | recipes.Recipe,
    overrides: Mapping[str, Any] | None = None,
    *,
    home: Home | None = None,
    on: str | None = None,
) -> Result:
    """Runs a recipe here, or `on` a Ray cluster (`"ray"`, `"ray:HOST:PORT"`), and returns its `Result`.

    That has `.metrics`, `.run`, `.checkpoint` and `.status`. `recipe` is a preset name, a YAML file, a mapping or a
    Recipe; `overrides` maps dotted keys to values, such as `{"eval.shots": 1}`. Raises UsageError for a wrong recipe or
    unusable data, and StudioError where the run failed; a run stopped by the user returns with status "stopped".
    """
    home = home or Home.find()
    store = Store(home)
    result = run_inline(submit(_recipe(recipe, overrides, home), store, on), home, on=on)
    if result.status == "failed":
        kind = UsageError if result.exit_code == UsageError.exit_code else StudioError
        raise kind(result.error)
    return result


def estimate(
    recipe: str | Path | Mapping[str, Any] | recipes.Recipe,
    overrides: Mapping[str, Any] | None = None,
    *,
    home: Home | None = None,
    probe_s: float = PROBE_S,
) -> Cost | None:
    """What `run` with the same arguments will cost: `.seconds` with `.low_s` and `.high_s`, `.memory_mb`.

    From past runs of this kind, where there are none from working on it for `probe_s` seconds at most; None where that
    is 0. Raises as `run` does.
    """
    home = home or Home.find()
    return estimate_cost(_recipe(recipe, overrides, home), home, probe_s)


def compare(*runs: str, home: Home | None = None) -> Comparison:
    """Runs side by side: `.rows` with `.numbers` and their intervals, `.keys` that differ, `.remarks`.

    Runs of one recipe that differ in their seed are one row. `studio.runs.comparison_table.as_text` writes it as CSV,
    Markdown or LaTeX. Raises UsageError for a name that is no run's.
    """
    return comparison.compare(runs, Store(home or Home.find()))


def save_version(name: str, data: str, *, home: Home | None = None) -> Facts:
    """Keeps the images of a data spec, with what is true of each, as a version: `.spec` to train on, `.content`.

    Raises UsageError for a name that is taken, DataError for data that can't be read.
    """
    return saved_version.save_version(name, data, home)


def compare_versions(before: str, after: str, *, home: Home | None = None) -> Changes:
    """What was added, removed, changed, relabelled and moved: `.rows`, `.counts()`, `.sentence()`.

    Raises UsageError for a version that is not there.
    """
    return version_changes.compare_versions(home or Home.find(), before, after)


def _recipe(recipe: Any, overrides: Mapping[str, Any] | None, home: Home) -> recipes.Recipe:
    if isinstance(recipe, (str, Path)):
        return recipes.load(str(recipe), dict(overrides or {}), home)
    values = recipe.model_dump(exclude_unset=True) if isinstance(recipe, recipes.Recipe) else deepcopy(dict(recipe))
    notes = recipes.override(values, overrides or {})
    return recipes.parse(values, notes)
