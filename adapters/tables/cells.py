"""The cells of a table, a line each in `cells.jsonl`: what is finished is not done again."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from studio.core.errors import StoppedByUser, StudioError
from studio.core.procedure import CELLS, Job

Key = tuple[str, str, int]  # method, task, seed
Cell = dict[str, Any]


def fill(job: Job, wanted: Sequence[Key], compute: Callable[[Key], Cell]) -> dict[Key, Cell]:
    """Every wanted cell, those that are not finished by `compute`; one that fails holds why, and is told.

    Raises StoppedByUser between two cells where the run shall stop.
    """
    path = job.folder / CELLS
    cells = read_cells(path)
    for done, key in enumerate(wanted):
        if key in cells:
            continue
        job.events.progress("cells", done, len(wanted))
        if job.should_stop():
            raise StoppedByUser(f"Stopped after {done} of {len(wanted)} cells; a resumed run goes on from there.")
        cells[key] = _timed(key, compute)
        if cells[key]["error"]:
            job.events.warning(f"{key[0]} on {key[1]}: {cells[key]['error']}")
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(cells[key]) + "\n")
    job.events.progress("cells", len(wanted), len(wanted))
    return cells


def read_cells(path: Path) -> dict[Key, Cell]:
    """Finished cells; a line cut short by a kill is left out, and ended."""
    cells: dict[Key, Cell] = {}
    if not path.exists():
        return cells
    text = path.read_text(encoding="utf-8")
    if text and not text.endswith("\n"):
        with open(path, "a", encoding="utf-8") as file:
            file.write("\n")
    for line in text.splitlines():
        try:
            cell = json.loads(line)
            cells[cell["method"], cell["task"], cell["seed"]] = cell
        except (ValueError, KeyError, TypeError):
            continue
    return cells


def _timed(key: Key, compute: Callable[[Key], Cell]) -> Cell:
    begun, computed, error = time.monotonic(), {}, None
    try:
        computed = compute(key)
    except StoppedByUser:
        raise
    except StudioError as problem:
        error = str(problem)
    method, task, seed = key
    empty = {"method": method, "task": task, "seed": seed, "accuracy": None, "note": ""}
    return {**empty, **computed, "seconds": round(time.monotonic() - begun, 3), "error": error}
