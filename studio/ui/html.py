"""Small pieces of HTML; every text that comes from outside is escaped here."""

import math
from html import escape
from typing import Any

from studio.ui.catalogue import say, words
from studio.ui.views import View

HEADLINES = (
    "accuracy",
    "expected_accuracy",
    "target_accuracy",
    "source_only_accuracy",
    "map",
    "map_50",
    "map_known",
    "map_new",
    "macro_f1",
    "ece",
    "episodes",
    "images_per_s",
)


def run_state(seen: View, language: str) -> str:
    """Status, progress bar, headline numbers, error and notes of a run."""
    status = words(language).get(f"status.{seen.status}", seen.status)
    parts = [
        f"<div class='state'><span class='badge {escape(seen.status)}' id='run-status'>{escape(status)}</span>"
        f"<code>{escape(seen.run)}</code><span>{escape(seen.method)}</span></div>"
    ]
    if seen.place:
        parts.append(f"<div id='run-place'>{escape(say('run.place', language, place=seen.place))}</div>")
    if not seen.over and seen.total:
        share = min(100.0, 100.0 * seen.done / seen.total)
        parts.append(f"<div class='bar'><div style='width:{share:.1f}%'></div></div>")
        parts.append(f"<div>{escape(seen.what)} {seen.done} / {seen.total}</div>")
    if seen.error:
        parts.append(f"<div class='error-box'>{escape(seen.error)}</div>")
    parts.append(numbers(seen.metrics))
    if seen.checkpoint:
        parts.append(f"<div>{escape(say('run.checkpoint', language, name=seen.checkpoint))}</div>")
    if seen.notes:
        parts.append("<ul class='notes'>" + "".join(f"<li>{escape(note)}</li>" for note in seen.notes[-30:]) + "</ul>")
    return "".join(parts)


def numbers(metrics: dict[str, Any]) -> str:
    """The headline metrics in large type; accuracy with its interval beside it."""
    cells = []
    for name in HEADLINES:
        if isinstance(metrics.get(name), (int, float)):
            margin = metrics.get(f"{name}_ci95")
            extra = f" ± {number(margin)}" if isinstance(margin, (int, float)) else ""
            if f"{name}_low" in metrics:
                extra = f" ({metrics[f'{name}_low']:.2f} – {metrics[f'{name}_high']:.2f})"
            cells.append(f"<div class='number'><b>{number(metrics[name])}{extra}</b><span>{escape(name)}</span></div>")
    return f"<div id='run-numbers'>{''.join(cells)}</div>" if cells else ""


def number(value: float) -> str:
    """Four figures at most."""
    if isinstance(value, int) or (
        math.isfinite(value) and float(value).is_integer() and abs(value) < 1e6 and abs(value) > 1
    ):
        return f"{int(value):,}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def report_card(report: dict[str, Any], language: str) -> str:
    """A dataset's report: what was found, a bar a class, and every problem as a sentence."""
    counts: dict[str, int] = report["classes"]
    most = max(counts.values(), default=1) or 1
    rows = "".join(_class_row(name, count, most) for name, count in list(counts.items())[:40])
    more = f"<p>… {len(counts) - 40}</p>" if len(counts) > 40 else ""
    problems = report["problems"]
    listed = (
        "".join(f"<li>{escape(line)}</li>" for line in problems[:40])
        or f"<li>{escape(say('data.fine', language))}</li>"
    )
    head = say("data.found", language, images=report["images"], classes=len(counts))
    if report.get("boxes"):
        head += " " + say("data.boxed", language, boxes=report["boxes"]["boxes"], small=report["boxes"]["small"])
    body = f"<table style='width:100%'>{rows}</table>{more}<ul>{listed}</ul>"
    return f"<div class='card' id='report-card'><h3>{escape(head)}</h3>{body}</div>"


def _class_row(name: str, count: int, most: int) -> str:
    bar = f"<div class='bar'><div style='width:{100 * count / most:.0f}%'></div></div>"
    return f"<tr><td>{escape(name)}</td><td>{count}</td><td style='width:55%'>{bar}</td></tr>"


def table(event: dict[str, Any]) -> str:
    """A table event of a run."""
    head = "".join(f"<th>{escape(str(column))}</th>" for column in event["columns"])
    body = "".join("<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in event["rows"][:200])
    return f"<h4>{escape(event['name'])}</h4><div style='overflow-x:auto'><table><tr>{head}</tr>{body}</table></div>"


def _cell(cell: Any) -> str:
    return escape(number(cell) if isinstance(cell, float) else "" if cell is None else str(cell))
