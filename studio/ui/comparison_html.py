"""A comparison of runs as HTML: what differs, the numbers, remarks, and the same table to keep."""

from html import escape
from urllib.parse import quote

from studio.runs.comparison import Comparison
from studio.runs.comparison_table import FORMATS, SUFFIXES, as_text, said
from studio.ui.catalogue import explained, say, words

TITLES = {"csv": "CSV", "markdown": "Markdown", "latex": "LaTeX"}


def draw(comparison: Comparison, language: str) -> str:
    """The whole of it; every text that comes from outside is escaped here."""
    remarks = "".join(f"<li>{escape(explained(remark, language))}</li>" for remark in comparison.remarks)
    return (
        f"<h3>{escape(say('runs.compared', language))}</h3>"
        f"<div class='wide run-table' tabindex='0'>{_numbers(comparison, language)}</div>"
        f"<p class='run-table'>{''.join(_kept(comparison, kind, language) for kind in FORMATS)}</p>"
        f"{_differences(comparison, language)}<ul class='remarks'>{remarks}</ul>"
    )


def _numbers(comparison: Comparison, language: str) -> str:
    names = [*comparison.headlines, *(name for name in ("seconds",) if name in comparison.metrics)]
    heads = [say("runs.column.run", language), *(_title(comparison, name, language) for name in names)]
    rows = [[row.label + _seeds(row.runs, language), *(said(row.numbers.get(name)) for name in names)]
            for row in comparison.rows]  # fmt: skip
    return "<table id='runs-numbers'>" + _row("th", heads) + "".join(_row("td", cells) for cells in rows) + "</table>"


def _differences(comparison: Comparison, language: str) -> str:
    """Only the keys of the recipes that differ, a column a row of the numbers."""
    if not comparison.keys:
        return f"<p>{escape(say('runs.same', language))}</p>"
    heads = [say("runs.difference", language), *(row.label for row in comparison.rows)]
    rows = [[key, *("" if row.settings[key] is None else str(row.settings[key]) for row in comparison.rows)]
            for key in comparison.keys]  # fmt: skip
    table = _row("th", heads) + "".join(_row("td", cells) for cells in rows)
    return f"<div class='wide run-table' tabindex='0'><table id='runs-difference'>{table}</table></div>"


def _row(tag: str, cells: list[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _seeds(runs: list[str], language: str) -> str:
    return f" · {say('runs.seeds', language, count=len(runs))}" if len(runs) > 1 else ""


def _title(comparison: Comparison, name: str, language: str) -> str:
    """What a metric is called in large type, without what its interval covers."""
    known, keys = words(language), [*(f"metric.{row.task}.{name}" for row in comparison.rows), f"runs.column.{name}"]
    short = next((known[key] for key in keys if key in known), name)
    return short.split(" (")[0].split("（")[0].split(",")[0].split("，")[0]


def _kept(comparison: Comparison, kind: str, language: str) -> str:
    """A button that copies the table in a format, and a link that keeps it."""
    data, title = quote(as_text(comparison, kind)), TITLES[kind]
    copy = escape(say("runs.copy", language, format=title))
    return (
        f"<button type='button' id='runs-copy-{kind}' "
        f"onclick=\"navigator.clipboard.writeText(decodeURIComponent('{data}'))\">{copy}</button>"
        f"<a id='runs-keep-{kind}' download='comparison.{SUFFIXES[kind]}' "
        f"href='data:text/plain;charset=utf-8,{data}'>{title}</a>"
    )
