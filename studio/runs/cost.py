"""What a run will cost, before it is started: seconds and memory, from runs of this machine or from a short probe.

Both are read as timelines (`studio.runs.timeline`). A past run counts where its recipe differs in nothing but its name,
its seed and how long it trains; of several the last few, whose spread says how sure the number is. A probe
(`studio.runs.probe`) works on the recipe for some seconds. benchmarks/cost.py measures how far off either is.
"""

import math
import statistics
from dataclasses import asdict, dataclass
from typing import Any, Literal

from studio.core import recipe as recipes
from studio.core.home import Home
from studio.core.recipe import Recipe
from studio.core.texts import load_yaml
from studio.runs import timeline
from studio.runs.timeline import Timeline
from studio.store import RunFolder, Store

PROBE_S = 30.0  # of work on the recipe, at most
LAST = 5  # past runs that are read
SEARCHED = 200  # past runs that are looked through, newest first
#: factors by which the true seconds are expected to lie off at most; what came of it says benchmarks/cost.py
PAST_FACTOR, PROBE_FACTOR, BROKEN_FACTOR = 1.3, 1.5, 2.0
#: keys of a recipe that say nothing of what a step costs
NAMES, LENGTHS = ("name", "about"), ("epochs", "minutes", "max_steps", "seed", "patience", "checkpoint_every_s")


@dataclass(frozen=True)
class Cost:
    """What a run will take, and how sure that is: it likely ends between `low_s` and `high_s`."""

    seconds: float
    low_s: float
    high_s: float
    memory_mb: float | None  # of the process on a CPU, of the device elsewhere
    source: Literal["past", "probe", "broken"]  # broken: a probe that did not see everything within its time
    runs: int = 0  # past runs that it is from

    def to_dict(self) -> dict[str, Any]:
        return {key: round(value, 1) if isinstance(value, float) else value for key, value in asdict(self).items()}

    def __str__(self) -> str:
        memory = f", {self.memory_mb / 1024:.1f} GB of memory" if self.memory_mb else ""
        source = {
            "past": f"from {self.runs} run{'s' * (self.runs > 1)} of this kind on this machine",
            "probe": "from a probe of a few steps",
            "broken": "from a probe that did not see all of it",
        }[self.source]
        return f"about {duration(self.seconds)} ({duration(self.low_s)} to {duration(self.high_s)}){memory}, {source}"


def estimate(recipe: Recipe, home: Home, probe_s: float = 0.0) -> Cost | None:
    """What a run of this recipe will cost, from past runs; where there are none from a probe of `probe_s` seconds.

    None where nothing is known and no probe is wanted (0). Raises StudioError where the probe shows that the recipe
    can't be worked on.
    """
    known = from_past(recipe, Store(home))
    if known is not None or not probe_s:
        return known
    from studio.runs.probe import probe

    return from_probe(probe(recipe, home, probe_s), recipe)


def from_past(recipe: Recipe, store: Store) -> Cost | None:
    """What finished runs of this kind say; None where there are none."""
    alike, kind = [], kind_of(load_yaml(recipes.to_yaml(recipe)))
    rows = [row for row in store.runs()[:SEARCHED] if row["status"] == "finished" and row["method"] == recipe.method]
    for row in rows:
        run = store.run(row["run"])
        if kind_of(recipes.read_yaml(run.recipe_path)) == kind:
            alike.append(run)
        if len(alike) == LAST:
            break
    seen = [(timeline.read(run.events()), _longer(run, recipe)) for run in alike]
    seconds = [line.whole_s(scale, recipe.train.max_steps) for line, scale in seen if scale]
    if not seconds:
        return None
    memory = max((line.memory_mb for line, _ in seen if line.memory_mb), default=None)
    middle = statistics.median(seconds)
    spread = max(PAST_FACTOR, *(max(one / middle, middle / one) for one in seconds if one > 0))
    return _cost(middle, spread, memory, "past", len(seconds))


def from_probe(seen: Timeline, recipe: Recipe) -> Cost:
    """What a probe says of the whole run, which finds the features that the probe has computed."""
    whole = seen.whole_s(most=recipe.train.max_steps, cached=True)
    finished = seen.status == "finished"
    return _cost(whole, PROBE_FACTOR if finished else BROKEN_FACTOR, seen.memory_mb, "probe" if finished else "broken")


def kind_of(values: dict[str, Any]) -> dict[str, Any]:
    """A recipe as it is filed, without what says nothing of how long one step takes: equal for runs that differ in
    length alone. Compared as it is written: to validate two hundred recipes takes ten seconds."""
    train = {key: value for key, value in values.get("train", {}).items() if key not in LENGTHS}
    return {**{key: value for key, value in values.items() if key not in NAMES}, "train": train}


def duration(seconds: float) -> str:
    """`8 s`, `2 min 10 s`, `3 h 20 min`: two figures, as a person says it."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 3 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 10:
        return f"{minutes} min {5 * round(rest / 5)} s" if 3 <= rest < 58 else f"{minutes + (rest >= 58)} min"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _longer(run: RunFolder, recipe: Recipe) -> float | None:
    """How many times as long as a past run's trainings those of a recipe are; None where that can't be told."""
    past, train = run.recipe().train, recipe.train
    if bool(past.minutes) != bool(train.minutes):
        return None
    if train.minutes and past.minutes:
        return train.minutes / past.minutes
    if not past.epochs:
        return 1.0 if not train.epochs else None
    return train.epochs / past.epochs


def _cost(seconds: float, factor: float, memory_mb: float | None, source: Any, runs: int = 0) -> Cost:
    factor = factor if math.isfinite(factor) else BROKEN_FACTOR
    return Cost(seconds, seconds / factor, seconds * factor, memory_mb, source, runs)
