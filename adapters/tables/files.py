"""A table of accuracies as CSV, Markdown and LaTeX."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

Row = tuple[str, list[float | None]]


def averaged(
    methods: list[str], tasks: list[str], seeds: Sequence[int], cells: dict[tuple[str, str, int], dict[str, Any]]
) -> list[Row]:
    """(method, percent by task and their average), means over seeds; None where a cell failed."""
    rows = []
    for method in methods:
        values: list[float | None] = []
        for task in tasks:
            accuracies = [cells.get((method, task, seed), {}).get("accuracy") for seed in seeds]
            values.append(None if None in accuracies else 100.0 * float(np.mean(accuracies)))
        values.append(None if None in values else float(np.mean(values)))
        rows.append((method, values))
    return rows


def write_tables(folder: Path, columns: list[str], rows: list[Row]) -> None:
    """`table.csv`, `table.md` and `table.tex` in `folder`."""
    with open(folder / "table.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([name, *("" if v is None else f"{v:.2f}" for v in values)] for name, values in rows)
    (folder / "table.md").write_text(markdown(columns, rows), encoding="utf-8")
    (folder / "table.tex").write_text(latex(columns, rows), encoding="utf-8")


def markdown(columns: list[str], rows: list[Row]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|---" + "|---:" * (len(columns) - 1) + "|"]
    lines += ["| " + " | ".join([name, *map(_shown, values)]) + " |" for name, values in rows]
    return "\n".join(lines) + "\n"


def latex(columns: list[str], rows: list[Row]) -> str:
    """A booktabs tabular."""
    lines = [f"\\begin{{tabular}}{{l{'r' * (len(columns) - 1)}}}", "\\toprule"]
    lines += [" & ".join(map(_escaped, columns)) + " \\\\", "\\midrule"]
    lines += [" & ".join([_escaped(name), *map(_shown, values)]) + " \\\\" for name, values in rows]
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"]) + "\n"


def _shown(value: float | None) -> str:
    return "--" if value is None else f"{value:.1f}"


def _escaped(text: str) -> str:
    for sign in "&%$#_{}":
        text = text.replace(sign, "\\" + sign)
    return text
