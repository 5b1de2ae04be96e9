"""Which images of a data set a version is saved without, by what a report says is wrong with them.

Of images that show the same in two splits those of the split that is scored last stay, for a score must not be learned
from; of copies within a split the first stays; of one image in two classes none does, for one of the labels is wrong.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from studio.core.errors import UsageError
from studio.data.items import Dataset

#: a problem -> the lists of names of a report that say it
PROBLEMS = {
    "broken": ("broken",),
    "leaks": ("leaks", "near_leaks"),
    "conflicts": ("conflicts",),
    "duplicates": ("duplicates",),
    "near_duplicates": ("near_duplicates",),
    "tiny": ("tiny",),
}
#: those that an image can be left out for; what is broken always is
LEFT_OUT = tuple(problem for problem in PROBLEMS if problem != "broken")
_STAYS_IN = ("test", "val", "train")  # of the same image in two splits, the first of these


def known_problems(asked: Iterable[str]) -> list[str]:
    """The problems that are asked for, `all` being each of them. Raises UsageError for another word."""
    names = list(dict.fromkeys(asked))
    if wrong := [name for name in names if name not in (*LEFT_OUT, "all")]:
        raise UsageError(f"without: found {wrong[0][:40]!r}; expected all, or some of {', '.join(LEFT_OUT)}.")
    return list(LEFT_OUT) if "all" in names else names


def left_out(data: Dataset, report: Mapping[str, Any], problems: Sequence[str]) -> dict[int, str]:
    """Rows of `data` that are left out, each with the first of `problems` that its report says it has."""
    rows_of = _rows_by_name(data)
    split_of = {row: name for name, rows in data.splits.items() for row in rows}
    out = dict[int, str]()
    for problem in problems:
        for group in _groups(report, PROBLEMS[problem]):
            rows = [row for name in group for row in rows_of.get(name, ()) if row not in out]
            out |= dict.fromkeys(_without_those_that_stay(rows, problem, split_of), problem)
    return out


def _without_those_that_stay(rows: list[int], problem: str, split_of: Mapping[int, str]) -> list[int]:
    if problem in ("conflicts", "tiny") or not rows:
        return rows
    protected = min(rows, key=lambda row: _place(split_of.get(row)))
    if problem == "leaks":
        return [row for row in rows if split_of.get(row) != split_of.get(protected)]
    return [row for row in rows if row != protected]


def _place(split: str | None) -> int:
    return _STAYS_IN.index(split) if split in _STAYS_IN else len(_STAYS_IN)


def _groups(report: Mapping[str, Any], lists: Iterable[str]) -> Iterable[list[str]]:
    """Groups of names; a name by itself is a group of one."""
    for name in lists:
        for group in report[name]:
            yield [group] if isinstance(group, str) else group


def _rows_by_name(data: Dataset) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for row, item in enumerate(data.items):
        rows.setdefault(item.name, []).append(row)
    return rows
