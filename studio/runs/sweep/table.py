"""A table as a sweep: its parts, or every combination of choices, are runs; then what they came to is one table.

A method that makes a table says which smaller tables it is made of (`Method.parts`). Each is a run. Once all have ended
one more run, of the whole, takes their finished cells and puts the table together; what a part could not do it tries
again.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from studio.core import recipe as recipes
from studio.core.errors import StoreError, UsageError
from studio.core.files import read_json
from studio.core.home import Home
from studio.core.procedure import CELLS, DONE
from studio.core.recipe import Recipe
from studio.runs.sweep.space import Space
from studio.runs.sweep.sweep import State, Sweep
from studio.store import RunFolder, Store
from studio.store.files import to_json, write_atomic

RUNS = "runs.json"  # the id of each part's run
WHOLE = "whole"
MOST = 1000  # runs of one sweep


class Table(Sweep):
    """Runs by name; where they are parts, the `whole` is made of them at the end."""

    def __init__(
        self, name: str, parts: Mapping[str, Recipe], home: Home, whole: Recipe | None = None, on: str | None = None
    ) -> None:  # fmt: skip
        """`on` is the cluster that works on the runs, None this machine. Raises UsageError for too many runs."""
        if len(parts) > MOST:
            raise UsageError(f"Found {len(parts)} runs; a sweep has {MOST} at most. Vary less, or part the table.")
        super().__init__(name, {part: recipe.model_dump() for part, recipe in parts.items()}, home, on)
        self.parts, self.whole = dict(parts), whole
        self._ids: dict[str, str] = read_json(self.folder / RUNS, {})
        self._statuses: dict[str, str] = {}  # of those that have ended
        self._seconds: list[float] = []

    @property
    def _names(self) -> list[str]:
        return [*self.parts, *([WHOLE] if self.whole else [])]

    def _adopt(self) -> None:
        for name in self._names:
            if name not in self._ids:
                continue
            if self._status_of(name) == "finished":
                self._statuses[name] = "finished"
            elif not self._take_up(name, self._ids[name]):  # it was deleted
                del self._ids[name]

    def _status_of(self, name: str) -> str | None:
        try:
            return Store(self.home).run(self._ids[name]).status()
        except (StoreError, UsageError):  # it was deleted
            return None

    def _more(self) -> bool:
        return self._next() is not None

    def _next(self) -> str | None:
        """The first part that is not filed; the whole once no part is at work, or was stopped."""
        for part in self.parts:
            if part not in self._ids:
                return part
        ready = self.whole and WHOLE not in self._ids and not self._at_work
        return WHOLE if ready and "stopped" not in self._statuses.values() else None

    def _start(self) -> None:
        name = self._next()
        if name == WHOLE and self.whole:
            parts = [Store(self.home).run(self._ids[part]) for part in self.parts]
            self._file(WHOLE, self.whole, lambda run: gather(run, parts))
        elif name is not None:
            self._file(name, self.parts[name])

    def _remember(self, key: str, run: RunFolder) -> None:
        self._ids[key] = run.id
        write_atomic(self.folder / RUNS, to_json(self._ids))

    def _ended(self, key: str, run: RunFolder, status: str, say: Callable[[str], None]) -> None:
        self._statuses[key] = status
        if seconds := run.summary()["seconds"]:
            self._seconds.append(seconds)
        say(f"{run.id} ({key}) {status}" + ("" if status == "finished" else f": launch.py show {run.id}"))

    def _watch(self, key: str, run: RunFolder, say: Callable[[str], None]) -> None:
        """Nothing is to be learned before it has ended."""

    def state(self, jobs: int) -> State:
        done, total = len(self._statuses), len(self._names)
        each = sum(self._seconds) / len(self._seconds) if self._seconds else None
        left_s = None if each is None else each * (total - done) / jobs
        return State(done, total, len(self._at_work), None, {}, left_s)

    def rows(self) -> list[dict[str, Any]]:
        """A row for each run, in order; `status` is None for one that was not filed."""
        return [
            {"run": self._ids.get(name), "status": self._status_of(name) if name in self._ids else None, "part": name}
            for name in self._names
        ]

    def result_runs(self) -> list[str]:
        """The ids of the runs whose numbers are the table: that of the whole alone, where there is one."""
        return [self._ids[name] for name in ([WHOLE] if self.whole else self.parts) if name in self._ids]


def table_of(space: Space, home: Home, on: str | None = None) -> Table:
    """The table that a recipe makes, by its parts; where something is varied, every combination.

    Raises UsageError where the recipe makes no table and nothing is varied, and for a range.
    """
    name = Path(space.recipe).stem
    if space.overs:
        return Table(name, combinations(space, home), home, on=on)
    recipe = space.filled({}, home)
    parts = parts_of(recipe)
    if not parts:
        raise UsageError(
            f"--over: {recipe.method} makes no table of several parts; name a key to vary at least, such as "
            "train.lr=log:1e-4..1e-2."
        )
    return Table(name, parts, home, recipe, on)


def parts_of(recipe: Recipe) -> dict[str, Recipe]:
    """The smaller tables that the recipe's table is made of; none where it makes no table, or is one by itself."""
    method = recipe.method_class()(recipe.method_params())
    return {name: _changed(recipe, overrides) for name, overrides in method.parts(recipe).items()}


def combinations(space: Space, home: Home) -> dict[str, Recipe]:
    """A recipe for each combination of choices. Raises UsageError for a range, and where values do not fit."""
    for over in space.overs:
        if not over.choices:
            raise UsageError(f"--grid: {over.key} is a range; name its values, such as {over.key}=VALUE,VALUE.")
    keys = [over.key for over in space.overs]
    filled = {}
    for values in product(*(over.choices for over in space.overs)):
        combination = dict(zip(keys, values, strict=True))
        filled[", ".join(f"{key}={value}" for key, value in combination.items())] = space.filled(combination, home)
    return filled


def gather(whole: RunFolder, parts: Sequence[RunFolder]) -> None:
    """Puts the finished cells of the parts where the whole looks for its own."""
    lines = [path.read_bytes() for part in parts if (path := part.path / CELLS).is_file()]
    write_atomic(whole.path / CELLS, b"".join(lines))
    for part in parts:
        for folder in part.state_path.glob(f"*{DONE}"):
            shutil.copytree(folder, whole.state_path / folder.name, dirs_exist_ok=True)


def _changed(recipe: Recipe, overrides: Mapping[str, Any]) -> Recipe:
    values = recipe.model_dump(exclude_unset=True)
    for key, value in overrides.items():
        recipes.put(values, key, value)
    return recipes.parse(values)
