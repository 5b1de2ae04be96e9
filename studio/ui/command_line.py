"""What does the same as the form, to be copied: a command line, and a call from Python."""

import json
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
    name, changes = from_preset(recipe, preset, home)
    settings = [part for pair in _pairs(changes) for part in ("--set", pair)]
    return shlex.join(["python", "launch.py", "run", name, *settings])


def python_call(recipe: Recipe, preset: str = "", home: Home | None = None) -> str:
    """The same as a call of `studio.run`."""
    name, changes = from_preset(recipe, preset, home)
    lines = "".join(f"    {_python(key)}: {_python(value)},\n" for key, value in changes.items())
    given = f", {{\n{lines}}}" if changes else ""
    return f"from studio import run\n\nresult = run({_python(name)}{given})\nprint(result.metrics)"


def from_preset(recipe: Recipe, preset: str = "", home: Home | None = None) -> tuple[str, dict[str, Any]]:
    """A preset and what to change of it for the recipe; `recipe.yaml`, its YAML beside it, where none comes near."""
    for name in _bases(recipe, preset, home):
        changes = _differences(recipe, name, home)
        try:
            same = _facts(recipes.load(name, _pairs(changes), home)) == _facts(recipe)
        except StudioError:  # the preset states something that this method or task has not
            continue
        if same:
            return name, changes
    return "recipe.yaml", {}


def _bases(recipe: Recipe, preset: str, home: Home | None) -> list[str]:
    """Presets to start from: the given one, then the nearest by method and by task."""
    rows = [row for row in recipes.list_presets(home) if row["task"] == recipe.task]
    near = sorted(rows, key=lambda row: (row["name"] != preset, row["method"] != recipe.method))
    return [row["name"] for row in near]


def _differences(recipe: Recipe, preset: str, home: Home | None) -> dict[str, Any]:
    base, flat = _flatten(_facts(recipes.load(preset, home=home))), _flatten(_facts(recipe))
    changed = {key: value for key, value in flat.items() if base.get(key) != value}
    if any(key.startswith("data.") for key in changed):  # what fits the preset's own data would not stay with other
        fitted = FITTED + (BUDGET if registry.task_named(recipe.task).own_minutes else ())
        changed |= {key: flat[key] for key in fitted if key in flat}
    return changed


def _pairs(changes: dict[str, Any]) -> list[str]:
    return [f"{key}={'null' if value is None else value}" for key, value in changes.items()]


def _python(value: Any) -> str:
    """A value as Python writes it, texts in double quotes."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


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
