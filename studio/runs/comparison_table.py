"""A comparison of runs as a table to keep or to print: CSV with everything, Markdown and LaTeX with the headlines."""

import csv
import io
import math
from typing import Literal, get_args

from studio.core.errors import UsageError
from studio.runs.comparison import Comparison, Number

Format = Literal["csv", "markdown", "latex"]
FORMATS: tuple[str, ...] = get_args(Format)
SUFFIXES = {"csv": "csv", "markdown": "md", "latex": "tex"}
_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def as_text(comparison: Comparison, kind: str) -> str:
    """The comparison in a format. Raises UsageError for one that is none."""
    if kind not in FORMATS:
        raise UsageError(f"--format: found {kind!r}; expected one of {', '.join(FORMATS)}.")
    return {"csv": _csv, "markdown": _markdown, "latex": _latex}[kind](comparison)


def cells(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of the headlines, each number with its interval."""
    heads = ["run", *comparison.keys, *(["seeds"] if _seeds(comparison) else []), *comparison.headlines]
    rows = []
    for row in comparison.rows:
        settings = [_plain(row.settings[key]) for key in comparison.keys]
        seeds = [str(len(row.runs))] if _seeds(comparison) else []
        rows.append([row.label, *settings, *seeds, *(said(row.numbers.get(name)) for name in comparison.headlines)])
    return heads, rows


def said(number: Number | None) -> str:
    """`0.912 ± 0.010`, or by its ends where they do not lie evenly; as many digits as the interval needs."""
    if number is None:
        return ""
    if number.low is None or number.high is None:
        return rounded(number.value)
    if number.half is None:
        return f"{rounded(number.value)} ({rounded(number.low)} – {rounded(number.high)})"
    digits = _digits(number.value)
    if round(number.half, digits) == 0:  # two figures of what is there, never none
        digits = 1 - math.floor(math.log10(number.half)) if number.half > 0 else digits
    return f"{number.value:.{digits}f} ± {number.half:.{digits}f}"


def rounded(value: float) -> str:
    """Four figures at most."""
    if float(value).is_integer() and 1 < abs(value) < 1e6:
        return f"{int(value):,}"
    return f"{value:.{_digits(value)}f}"


def _digits(value: float) -> int:
    return 3 if abs(value) < 10 else 1


def _seeds(comparison: Comparison) -> bool:
    return any(len(row.runs) > 1 for row in comparison.rows)


def _plain(value: object) -> str:
    return "" if value is None else str(value)


def _csv(comparison: Comparison) -> str:
    ends = [f"{name}{end}" for name in comparison.metrics for end in ("", "_low", "_high")]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["run", "runs", *comparison.keys, *ends])
    for row in comparison.rows:
        numbers = [row.numbers.get(name, Number(math.nan)) for name in comparison.metrics]
        values = [
            "" if value is None or math.isnan(value) else value
            for number in numbers for value in (number.value, number.low, number.high)
        ]  # fmt: skip
        writer.writerow([row.label, " ".join(row.runs), *map(_plain, row.settings.values()), *values])
    return text.getvalue()


def _markdown(comparison: Comparison) -> str:
    heads, rows = cells(comparison)
    lines = [heads, ["---"] * len(heads), *rows]
    table = "".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |\n" for line in lines)
    return table + "".join(f"\n{remark}\n" for remark in comparison.remarks)


def _latex(comparison: Comparison) -> str:
    """A booktabs tabular, its remarks as comments."""
    heads, rows = cells(comparison)
    width = len(comparison.headlines)
    lines = [f"% {remark}" for remark in comparison.remarks]
    lines += [f"\\begin{{tabular}}{{{'l' * (len(heads) - width)}{'r' * width}}}", r"\toprule"]
    lines += [" & ".join(map(_escaped, heads)) + r" \\", r"\midrule"]
    lines += [" & ".join(map(_escaped, row)) + r" \\" for row in rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _escaped(text: str) -> str:
    marks = {**_LATEX, **{sign: f"\\{sign}" for sign in "&%$#_{}"}, "±": r"$\pm$", "–": "--"}
    return "".join(marks.get(sign, sign) for sign in text)
