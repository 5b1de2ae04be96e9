"""The command line that does what the form says."""

import shlex
from typing import Any

from studio.core import recipe as recipes
from studio.core import registry
from studio.core.errors import StudioError
from studio.core.home import Home
from studio.core.own_data import BUDGET, FITTED
from studio.core.recipe import Recipe


def command_line(recipe: Recipe, preset: str = "", home: Home | None = None) -> str:
    """`launch.py run` with a preset, and every difference from it set; `preset` is taken where it is near enough."""
    for name in _bases(recipe, preset, home):
        pairs = _differences(recipe, name, home)
        try:
            same = _facts(recipes.load(name, pairs, home)) == _facts(recipe)
        except StudioError:  # the preset states something that this method or task has not
            continue
        if same:
            return shlex.join(
                ["python", "launch.py", "run", name, *(part for pair in pairs for part in ("--set", pair))]
            )
    return "python launch.py run recipe.yaml"  # with the YAML beside it


def _bases(recipe: Recipe, preset: str, home: Home | None) -> list[str]:
    """Presets to start from: the given one, then the nearest by method and by task."""
    rows = [row for row in recipes.list_presets(home) if row["task"] == recipe.task]
    near = sorted(rows, key=lambda row: (row["name"] != preset, row["method"] != recipe.method))
    return [row["name"] for row in near]


def _differences(recipe: Recipe, preset: str, home: Home | None) -> list[str]:
    base, flat = _flatten(_facts(recipes.load(preset, home=home))), _flatten(_facts(recipe))
    changed = {key: value for key, value in flat.items() if base.get(key) != value}
    if any(key.startswith("data.") for key in changed):  # what fits the preset's own data would not stay with other
        fitted = FITTED + (BUDGET if registry.task_named(recipe.task).own_minutes else ())
        changed |= {key: flat[key] for key in fitted if key in flat}
    return [f"{key}={'null' if value is None else value}" for key, value in changed.items()]


def _facts(recipe: Recipe) -> dict[str, Any]:
    return recipe.model_dump(exclude={"about"})


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat
