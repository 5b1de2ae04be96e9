"""A sweep in a process of its own, as the page starts one: it outlives the page, and how far it is is a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from studio.core import recipe as recipes
from studio.core.errors import UsageError
from studio.core.files import read_json
from studio.core.home import Home
from studio.runs.processes import spawn
from studio.runs.sweep.space import Space, read_over
from studio.runs.sweep.study import Study
from studio.runs.sweep.sweep import PROGRESS, STOP, State, Sweep
from studio.runs.sweep.table import RUNS, WHOLE, table_of
from studio.store import Store
from studio.store.files import write_atomic


@dataclass(frozen=True)
class Seen(State):
    """A sweep as its file has it."""

    name: str


def start(
    values: Mapping[str, Any], overs: Sequence[str], trials: int, home: Home, on: str | None = None, grid: bool = False
) -> str:  # fmt: skip
    """Starts a sweep of the recipe `values`, or goes on with it where it is there already; its name.

    With `grid` it is every combination of values; without any `overs` the parts of the table that the recipe makes.

    Raises UsageError, before anything is filed, for what `launch.py sweep` refuses.
    """
    if not 1 <= trials <= 1000:
        raise UsageError(f"trials: found {trials}; expected 1 to 1000.")
    given = [over.strip() for over in overs if over.strip()]
    recipe = recipes.parse(dict(values))
    text = recipes.to_yaml(recipe).encode()
    folder = home.root / "sweeps" / "recipes"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{recipe.method.rpartition('/')[2]}.yaml"
    write_atomic(file, text)
    space = Space(str(file), (), tuple(map(read_over, given)))
    searches = bool(given) and not grid
    sweep: Sweep = Study(space, home, on=on) if searches else table_of(space, home, on)
    with sweep.hold():
        pass
    kept = sweep.folder / f"{file.stem}.yaml"  # the same name, and nobody else's
    write_atomic(kept, text)
    (sweep.folder / STOP).unlink(missing_ok=True)
    words = [str(kept), *(word for over in given for word in ("--over", over))]
    words += ["--trials", str(trials)] if searches else ["--grid"] if given else []
    with open(sweep.folder / "log.txt", "ab") as log:
        spawn("studio.cli", ["sweep", *words, *(["--on", on] if on else [])], home, log)
    return sweep.name


def stop(name: str, home: Home) -> None:
    """Asks a sweep to stop its runs and end; the same sweep started again goes on."""
    folder = home.root / "sweeps" / name
    if name not in {seen.name for seen in listed(home)}:
        raise UsageError(f"There is no sweep {name!r}.")
    write_atomic(folder / STOP, b"")


def listed(home: Home) -> list[Seen]:
    """Sweeps that have begun, the newest first."""
    paths = sorted((home.root / "sweeps").glob(f"*/{PROGRESS}"), key=lambda path: path.stat().st_mtime, reverse=True)
    return [Seen(name=path.parent.name, **facts) for path in paths if (facts := read_json(path, None))]


def result_runs(name: str, home: Home) -> list[str]:
    """Finished runs whose numbers are the table of a sweep: that of the whole alone, where it has ended; none of a
    search."""
    ids = read_json(home.root / "sweeps" / name / RUNS, {})
    finished = {row["run"] for row in Store(home).runs() if row["status"] == "finished"}
    whole = [ids[WHOLE]] if ids.get(WHOLE) in finished else []
    return whole or [run for run in ids.values() if run in finished]
