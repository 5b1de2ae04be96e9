"""Several runs side by side: only what differs in their recipes, and their numbers with how sure these are.

Runs that differ in nothing but their seed are one row: the mean of their numbers, with the interval of Student's t over
them, never narrower than that of one run by itself.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from studio.core import registry
from studio.core.errors import StudioError, UsageError
from studio.core.recipe import Recipe
from studio.metrics.intervals import ends, mean_ci95
from studio.store import RunFolder, Store
from studio.store.version_changes import compare_versions

MOST = 50  # runs at once
COSTS = ("seconds", "images_per_s", "peak_memory_mb")
VERSION = re.compile(r"version:([\w.-]+)(?:\?content=\w+)?$")  # a data spec that is one version
_APART = ("_ci95", "_low", "_high")  # ends of the names of what belongs to another number


@dataclass(frozen=True)
class Number:
    """A metric of one row: its mean over `runs` runs, and its 95% interval where one is known."""

    value: float
    low: float | None = None
    high: float | None = None
    runs: int = 1

    @property
    def half(self) -> float | None:
        """Half of the interval's width, where it lies evenly about the number; None else."""
        if self.low is None or self.high is None:
            return None
        below, above = self.value - self.low, self.high - self.value
        return above if math.isclose(below, above, rel_tol=0.02) else None


@dataclass
class Row:
    """One recipe: the runs of it, which differ in their seed alone, and what they came to."""

    label: str
    task: str
    method: str
    runs: list[str]
    settings: dict[str, Any]  # of the keys that differ between rows
    numbers: dict[str, Number] = field(default_factory=dict)


@dataclass
class Comparison:
    """Rows in the order in which their runs were named; `headlines` are the metrics that a task shows in large type."""

    keys: list[str]
    metrics: list[str]
    headlines: list[str]
    rows: list[Row]
    remarks: list[str]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def compare(names: Sequence[str], store: Store, most: int = MOST) -> Comparison:
    """The runs of these names or beginnings of names, side by side.

    Raises UsageError for fewer than two, for too many, and for a name that is none.
    """
    runs = list({run.id: run for run in map(store.run, names)}.values())
    if not 2 <= len(runs) <= most:
        raise UsageError(f"Two to {most} runs are compared at once; found {len(runs)}.")
    recipes = [run.recipe() for run in runs]
    flat = _settings(recipes)
    keys = [key for key in flat[0] if any(settings[key] != flat[0][key] for settings in flat)]
    groups: dict[str, list[int]] = {}
    for place, settings in enumerate(flat):
        groups.setdefault(repr([settings[key] for key in keys]), []).append(place)
    measured = [_measured(run) for run in runs]
    rows = [
        _row([runs[place] for place in places], recipes[places[0]], {key: flat[places[0]][key] for key in keys},
             [measured[place] for place in places])
        for places in groups.values()
    ]  # fmt: skip
    _tell_apart(rows)
    metrics = [name for name in _names(recipes, measured) if any(name in row.numbers for row in rows)]
    headlines = [name for name in metrics if any(name in _headlines(row.task) for row in rows)]
    remarks = [*_remarks(rows, runs, measured), *_between_versions(rows, store)]
    return Comparison(keys, metrics, headlines or metrics[:4], rows, remarks)


def _settings(recipes: list[Recipe]) -> list[dict[str, Any]]:
    """Recipes as dotted keys, the same in all; parameters with their defaults where all are of one method."""
    one_method = len({recipe.method for recipe in recipes}) == 1
    flat = []
    for recipe in recipes:
        values = recipe.model_dump(exclude={"name", "about"})
        values["train"].pop("seed")
        if one_method:
            values["params"] = recipe.method_params().model_dump()
        flat.append(_flat(values))
    keys = list(dict.fromkeys(key for settings in flat for key in settings))
    return [{key: settings.get(key) for key in keys} for settings in flat]


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        inner = isinstance(value, dict) and (not prefix or prefix == "params.")
        flat |= _flat(value, f"{prefix}{key}.") if inner else {prefix + key: value}
    return flat


def _measured(run: RunFolder) -> dict[str, Any]:
    summary = run.summary()
    seconds = {"seconds": summary["seconds"]} if summary["seconds"] else {}
    return {**summary["metrics"], **seconds}


def _row(runs: list[RunFolder], recipe: Recipe, settings: dict[str, Any], measured: list[dict[str, Any]]) -> Row:
    row = Row(recipe.name or "", recipe.task, recipe.method, [run.id for run in runs], settings)
    for name in dict.fromkeys(name for metrics in measured for name in metrics):
        numbers = [number_of(name, metrics) for metrics in measured if _is_number(name, metrics)]
        if numbers:
            row.numbers[name] = numbers[0] if len(numbers) == 1 else _gathered(numbers)
    return row


def _is_number(name: str, metrics: dict[str, Any]) -> bool:
    value = metrics.get(name)
    own = not name.endswith(_APART) and isinstance(value, (int, float)) and not isinstance(value, bool)
    return own and math.isfinite(value)


def number_of(name: str, metrics: dict[str, Any]) -> Number:
    """A metric of one run with its interval, which no want of errors makes narrow."""
    value = float(metrics[name])
    low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
    if not isinstance(low, (int, float)) or not isinstance(high, (int, float)):
        low, high = ends(value, metrics.get(f"{name}_ci95"), _count(name, metrics)) or (None, None)
    return Number(value, low, high)


def _count(name: str, metrics: dict[str, Any]) -> float | None:
    """The images or episodes whose share an accuracy is; None for other numbers."""
    if not name.endswith("accuracy"):
        return None
    counts = (metrics.get("episodes"), metrics.get("scored_on"))
    return next((count for count in counts if isinstance(count, (int, float)) and count > 0), None)


def _gathered(numbers: list[Number]) -> Number:
    """Mean over seeds; as wide as Student's t over them says, and as one run's own interval at least."""
    mean, half = mean_ci95(np.array([number.value for number in numbers]))
    own = [(number.value - number.low, number.high - number.value) for number in numbers if number.low is not None]
    below, above = (float(np.mean(side)) for side in zip(*own, strict=True)) if own else (0.0, 0.0)
    below, above = max(half, below), max(half, above)
    share = all(0 <= number.value <= 1 for number in numbers)
    low, high = mean - below, mean + above
    if not (below or above):  # every seed gave the same, and no run knows how sure it is
        return Number(mean, runs=len(numbers))
    return Number(mean, max(0.0, low) if share else low, min(1.0, high) if share else high, len(numbers))


def _tell_apart(rows: list[Row]) -> None:
    """Labels: a row's own name, else its method; where that is not one row's alone, what tells it from the others."""
    for row in rows:
        row.label = row.label or row.method.rpartition("/")[2]
    labels = [row.label for row in rows]
    for row in rows:
        told = [
            f"{key.rpartition('.')[2]} {value}" for key, value in row.settings.items() if key not in ("task", "method")
        ]
        if labels.count(row.label) > 1 and told:
            row.label += f" ({', '.join(told[:3])})"


def _names(recipes: list[Recipe], measured: list[dict[str, Any]]) -> list[str]:
    """Metrics of all runs, those that a task shows in large type first, what it cost last."""
    first = [name for recipe in recipes for name in _headlines(recipe.task)]
    seen = [name for metrics in measured for name in metrics]
    ordered = dict.fromkeys([*(name for name in first if name in seen), *seen])
    return [*(name for name in ordered if name not in COSTS), *(name for name in COSTS if name in ordered)]


def _headlines(task: str) -> list[str]:
    try:
        return list(registry.task_named(task).headlines)
    except UsageError:  # a task that is no longer here
        return []


def _remarks(rows: list[Row], runs: list[RunFolder], measured: list[dict[str, Any]]) -> list[str]:
    """What is to be known before the numbers are believed."""
    remarks = ["Intervals are 95 %: of one run over its images or episodes, of several seeds over them as well."]
    statuses = {run.id: run.status() for run in runs}
    remarks += [f"{run} is {status}." for run, status in statuses.items() if status != "finished"]
    copies = {run.id: metrics.get("near_copies", 0) for run, metrics in zip(runs, measured, strict=True)}
    if told := [row.label for row in rows if any(copies[run] for run in row.runs)]:
        remarks.append(
            f"{', '.join(told)}: up to {max(copies.values())} of the images that this is scored on are nearly the same "
            "as one it has learned from; its score says less about new images."
        )
    for key in ("scored_on", "selection"):
        values = {str(metrics[key]) for metrics in measured if isinstance(metrics.get(key), str)}
        if len(values) > 1:
            remarks.append(f"The runs differ in {key}: {', '.join(sorted(values))}. Their scores are not of one kind.")
    if len({row.task for row in rows}) > 1:
        remarks.append("The runs are of several tasks; what has one name may mean another thing in each.")
    if any("data." in key for key in rows[0].settings):
        remarks.append("The runs have other data; their scores are not of the same images.")
    return remarks


def _between_versions(rows: list[Row], store: Store) -> list[str]:
    """What two versions of the training data differ in, where the rows were trained on two."""
    specs = list(dict.fromkeys(str(row.settings.get("data.train", "")) for row in rows))
    names = [VERSION.match(spec) for spec in specs]
    if len(names) != 2 or not all(names):
        return []
    try:
        return [compare_versions(store.home, *(name[1] for name in names if name)).sentence()]
    except StudioError:  # one was deleted since
        return []
