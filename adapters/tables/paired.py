"""What stands beside a method's average in a table: its spread over seeds, and its paired difference to a baseline."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from studio.metrics import paired_difference


def columns_beside(baseline: str) -> list[str]:
    """The columns that `beside` fills, after that of the average."""
    return ["±seeds", f"minus {baseline}", "±95% paired"]


def beside(
    name: str,
    baseline: str,
    tasks: list[str],
    seeds: Sequence[int],
    cells: dict[tuple[str, str, int], dict[str, Any]],
) -> list[float | None]:
    """In points: the deviation of the average over seeds, the difference to `baseline` and the half-width of its 95%
    interval, paired over tasks and seeds. None where there is none; a difference says something where it is larger
    than that half-width.
    """
    own, plain = (_percent(method, tasks, seeds, cells) for method in (name, baseline))
    deviation = float(own.mean(axis=1).std(ddof=1)) if len(seeds) > 1 and not np.isnan(own).any() else None
    if name == baseline or np.isnan(own).any() or np.isnan(plain).any():
        return [deviation, None, None]
    difference, half = paired_difference(own.ravel(), plain.ravel())
    return [deviation, difference, None if np.isnan(half) else half]


def _percent(
    name: str, tasks: list[str], seeds: Sequence[int], cells: dict[tuple[str, str, int], dict[str, Any]]
) -> np.ndarray:  # fmt: skip
    """[seeds, tasks], NaN where a cell is missing or failed."""
    values = [[cells.get((name, task, seed), {}).get("accuracy") for task in tasks] for seed in seeds]
    return 100 * np.array(values, float)
