"""Small pieces of HTML; every text that comes from outside is escaped here."""

import csv
import io
import math
import re
from collections.abc import Sequence
from html import escape
from typing import Any
from urllib.parse import quote

from studio.core import registry
from studio.runs.comparison import number_of
from studio.runs.comparison_table import said
from studio.runs.cost import Cost, duration
from studio.runs.lineage import Node
from studio.runs.sweep.background import Seen
from studio.ui.catalogue import care, explained, say, translated, words
from studio.ui.views import View

OPEN_ROWS = 12  # tables of more are folded
SOON_S = 10.0  # what is over by then needs no estimate


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
        left = f" {_left(seen.left_s, language)}" if seen.left_s and seen.left_s >= SOON_S else ""
        parts.append(f"<div>{escape(explained(seen.what, language))} {seen.done} / {seen.total}{escape(left)}</div>")
    if seen.error:
        parts.append(f"<div class='error-box'>{escape(explained(seen.error, language))}</div>")
    if text := care(seen.task, language):
        parts.append(f"<p class='care'>{escape(text)}</p>")
    parts.append(numbers(seen.metrics, language, seen.task))
    if seen.checkpoint:
        parts.append(f"<div>{escape(say('run.checkpoint', language, name=seen.checkpoint))}</div>")
    parts += [table(event, language) for event in seen.tables]
    if seen.notes:
        listed = "".join(f"<li>{escape(explained(note, language))}</li>" for note in seen.notes[-30:])
        parts.append(f"<ul class='notes'>{listed}</ul>")
    return "".join(parts)


def code(text: str, language: str) -> str:
    """A text that can be copied, in Markdown, with the colours of its language."""
    fence = "~" * (1 + max(map(len, re.findall("~+", text)), default=3))  # longer than any within
    return f"{fence}{language}\n{text}\n{fence}"


def banner(seen: View, language: str) -> str:
    """One line that says on every tab what the run being watched is doing; empty once it is over."""
    if seen.over:
        return ""
    doing = (
        f"{explained(seen.what, language)} {seen.done} / {seen.total}"
        if seen.total
        else say(f"status.{seen.status}", language)
    )
    line = say("run.banner", language, run=seen.run, doing=doing)
    share = min(100.0, 100.0 * seen.done / seen.total) if seen.total else 0.0
    return (
        f"<div class='banner'><span>{escape(line)}</span><div class='bar'><div style='width:{share:.1f}%'></div></div>"
        f"<button type='button'>{escape(say('run.open', language))}</button></div>"
    )


def numbers(metrics: dict[str, Any], language: str, task: str) -> str:
    """A task's headlines in large type, each with what it is and what its interval covers; the best method's name."""
    keys = {name: f"metric.{task}.{name}" for name in registry.task_named(task).headlines}
    if metrics.get("episodes"):
        keys["accuracy"] = "metric.accuracy.episodes"
    cells = [
        f"<div class='number' data-metric='{name}'><b>{_with_interval(name, metrics)}</b>"
        f"<span>{escape(say(key, language, **metrics))}</span></div>"
        for name, key in {**keys, "images_per_s": "metric.images_per_s"}.items()
        if isinstance(metrics.get(name), (int, float))
    ]
    best = escape(say("run.best", language, name=metrics["best"])) if metrics.get("best") else ""
    return f"<div id='run-best'>{best}</div><div id='run-numbers'>{''.join(cells)}</div>" if cells else ""


def live_answer(scores: dict[str, float], said: str, per_s: float | None, frame_ms: float, language: str) -> str:
    """What a frame is, likeliest first, and the pace of the last ones."""
    rows = "".join(
        f"<li><b>{escape(label)}</b> {100 * score:.0f}%"
        f"<div class='bar'><div style='width:{100 * score:.0f}%'></div></div></li>"
        for label, score in list(scores.items())[:3]
    )
    key, speed = ("live.pace", f"{per_s:.1f}") if per_s else ("live.first", "")
    line = escape(say(key, language, speed=speed, milliseconds=f"{frame_ms:.0f}"))
    return f"<ul class='live-scores'>{rows}</ul><p>{escape(said)}</p><p id='live-pace'>{line}</p>"


def _with_interval(name: str, metrics: dict[str, Any]) -> str:
    """A number and how sure it is, which is never said to be without doubt for want of errors."""
    shown = number_of(name, metrics)
    return number(metrics[name]) if shown.low is None else said(shown)


def lineage(nodes: list[Node], language: str) -> str:
    """What led to a run and what came of it, an arrow from each to the next."""
    if not nodes:
        return ""
    items = "".join(
        f"<li class='{node.kind}{' chosen' if node.chosen else ''}' style='--depth:{node.depth}'>"
        f"<span>{escape(say(f'lineage.{node.kind}', language))}</span> <code>{escape(node.name)}</code></li>"
        for node in nodes
    )
    return (
        f"<details class='lineage' open><summary>{escape(say('lineage', language))}</summary><ul>{items}</ul></details>"
    )


def cost(estimate: Cost | None, language: str, hosted: bool = False) -> str:
    """What a run will cost, how sure that is, and from what it is known."""
    if estimate is None:
        return f"<p class='cost'>{escape(say('cost.unknown.hosted' if hosted else 'cost.unknown', language))}</p>"
    seconds = {name: _duration(getattr(estimate, name), language) for name in ("seconds", "low_s", "high_s")}
    memory = say("cost.memory", language, gb=estimate.memory_mb / 1024) if estimate.memory_mb else ""
    line = say("cost.line", language, memory=memory, **seconds)
    source = say(f"cost.{estimate.source}", language, runs=estimate.runs, **seconds)
    return f"<p class='cost' data-seconds='{estimate.seconds:.1f}'><b>{escape(line)}</b> {escape(source)}</p>"


def sweeps(seen: Sequence[Seen], language: str) -> str:
    """How far each sweep is: runs, the best so far with its values, the time that is left."""
    if not seen:
        return f"<p>{escape(say('sweep.none', language))}</p>"
    lines = []
    for one in seen[:10]:
        values = ", ".join(f"{key} {_value(value)}" for key, value in one.best_values.items())
        best = "" if one.best is None else say("sweep.best", language, score=f"{one.best:.4g}", values=values)
        over = one.done >= one.total
        left = "" if one.left_s is None or over else _left(one.left_s, language)
        runs = say("sweep.runs", language, done=one.done, total=one.total, work=one.at_work)
        lines.append(f"<li><b>{escape(one.name)}</b>: {escape(' '.join(filter(None, (runs, best, left))))}</li>")
    return f"<ul class='sweeps'>{''.join(lines)}</ul>"


def _left(seconds: float, language: str) -> str:
    return say("run.left", language, left=_duration(seconds, language))


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _duration(seconds: float, language: str) -> str:
    text = duration(seconds)
    for unit, chinese in ((" min", " 分"), (" h", " 小时"), (" s", " 秒")) if language == "zh" else ():
        text = text.replace(unit, chinese)
    return text


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
        "".join(f"<li>{escape(explained(line, language))}</li>" for line in problems[:40])
        or f"<li>{escape(say('data.fine', language))}</li>"
    )
    head = say("data.found", language, images=report["images"], classes=len(counts))
    if report.get("boxes"):
        head += say("data.boxed", language, boxes=report["boxes"]["boxes"], small=report["boxes"]["small"])
    if report.get("masks"):
        head += say("data.masked", language, void=round(100 * report["masks"]["void"], 1))
    if report.get("identities"):
        head += say("data.identities", language, cameras=len(report["identities"]["cameras"]))
    body = f"<table style='width:100%'>{rows}</table>{more}<ul>{listed}</ul>"
    return f"<div class='card' id='report-card'><h3>{escape(head)}</h3>{body}</div>"


def _class_row(name: str, count: int, most: int) -> str:
    bar = f"<div class='bar'><div style='width:{100 * count / most:.0f}%'></div></div>"
    return f"<tr><td>{escape(name)}</td><td>{count}</td><td style='width:55%'>{bar}</td></tr>"


def table(event: dict[str, Any], language: str) -> str:
    """A table event of a run, to be copied or kept as CSV."""
    head = "".join(f"<th>{escape(translated(str(column), language))}</th>" for column in event["columns"])
    shown = [[_cell(cell, language) for cell in row] for row in event["rows"][:200]]
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in shown)
    links = csv_links(event["name"], event["columns"], event["rows"], language)
    return (
        f"<details class='run-table'{' open' if len(event['rows']) <= OPEN_ROWS else ''}>"
        f"<summary>{escape(explained(translated(event['name'], language), language))}</summary>"
        f"<div class='wide' tabindex='0'><table><tr>{head}</tr>{body}</table></div><p>{links}</p></details>"
    )


def csv_links(name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], language: str) -> str:
    """A button that copies a table, and a link that keeps it as CSV, whole."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    data, file = quote(text.getvalue()), escape(f"{name}.csv".replace("/", "-"))
    return (
        f"<button type='button' onclick=\"navigator.clipboard.writeText(decodeURIComponent('{data}'))\">"
        f"{escape(say('table.copy', language))}</button>"
        f"<a download='{file}' href='data:text/csv;charset=utf-8,{data}'>{escape(say('table.csv', language))}</a>"
    )


def _cell(cell: Any, language: str) -> str:
    text = translated(cell, language) if isinstance(cell, str) else "" if cell is None else str(cell)
    return escape(number(cell) if isinstance(cell, float) else text)
