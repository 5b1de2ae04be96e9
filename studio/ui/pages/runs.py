"""Runs: every run of this home, one in full with its lineage, several side by side (`compared`)."""

from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from studio.core.errors import UsageError
from studio.ui import display_names, forms, html
from studio.ui.catalogue import language_of, say, word, words
from studio.ui.events import LATEST, renewed
from studio.ui.guard import guarded
from studio.ui.pages import compared, holdings
from studio.ui.pages.live import gallery
from studio.ui.tabs import once_seen, then_open

COLUMNS = ("name", "score", "status", "created", "seconds", "method", "run", "checkpoint")
SCRIPT = Path(__file__).parents[1] / "runs_table.js"
MOST_ROWS = 200  # that are listed at once; words find the others
LARGEST_FIRST = ("score", "created", "seconds")  # at the first click on the head; the rest from A to Z


def build(shared: Any, tab: Any) -> None:
    actions = shared.actions
    with gr.Row():
        wanted = gr.Textbox(label=word("runs.filter"), max_lines=1, scale=4, min_width=200, elem_id="runs-filter")
        refresh = gr.Button(word("runs.refresh"), size="sm", min_width=120, elem_id="runs-refresh")
    gr.Markdown(word("runs.hint"))
    table = gr.HTML(
        html_template="<div></div>", js_on_load=SCRIPT.read_text(encoding="utf-8"), apply_default_css=False,
        elem_id="runs-table",
    )  # fmt: skip
    compared.build(shared, table)
    chosen = gr.Dropdown([], label=word("runs.one"), elem_id="runs-one", allow_custom_value=False, min_width=280)
    state = gr.HTML(elem_id="runs-state")
    with gr.Row():
        watch = gr.Button(word("runs.watch"), size="sm", elem_id="runs-watch")
        reuse = gr.Button(word("runs.reuse"), size="sm", elem_id="runs-reuse")
    figures = gr.Gallery(
        columns=3, visible=False, elem_id="runs-figures", object_fit="contain", label=word("train.figures"),
        buttons=["fullscreen", "download"],
    )  # fmt: skip
    holdings.build(actions)

    @guarded
    def listing(current: str | None, words_in: str, request: gr.Request) -> Any:
        language = language_of(request)
        known = actions.store.runs()
        rows = [row for row in known if has_words(_cells(row, language), words_in)] if words_in.strip() else known
        ids = [row["run"] for row in rows[:MOST_ROWS]]
        if current not in ids:
            ids += [row["run"] for row in known if row["run"] == current]
        return table_of_runs(rows, language), renewed([(one, one) for one in ids], current)

    @guarded
    def show(run_id: str | None, request: gr.Request) -> Any:
        if not run_id:
            return "", gr.Gallery(visible=False)
        view, language = actions.view(run_id), language_of(request)
        return (
            html.run_state(view, language) + html.lineage(actions.lineage(run_id), language),
            gallery(view, language),
        )

    @guarded
    def watched(run_id: str | None, request: gr.Request) -> str:
        if not run_id:
            raise UsageError(say("train.no_run", language_of(request)))
        return run_id

    @guarded
    def take_recipe(run_id: str | None, request: gr.Request) -> Any:
        recipe = actions.store.run(watched(run_id, request)).recipe()
        screen = forms.screen_of(recipe.model_dump(exclude_defaults=True))
        return shared.form.fill(screen, language_of(request))

    private = {"api_visibility": "private", "show_progress": "hidden"}
    for asked in (once_seen(tab), partial(gr.on, [refresh.click, wanted.submit, wanted.blur])):
        asked(listing, [chosen, wanted], [table, chosen], show_progress="hidden", **LATEST)
    chosen.change(show, [chosen], [state, figures], **private)
    table.chosen(None, None, [chosen], js="() => window.studioChosenRun", **private)
    then_open(watch.click(watched, [chosen], [shared.run], **private), "train")
    reused = shared.form.filled_by(reuse.click, take_recipe, [chosen], shared.form.filled, read="(run) => [run]")
    then_open(reused, "train")


def table_of_runs(rows: list[dict[str, Any]], language: str) -> str:
    """The newest runs, as `runs_table.js` sorts them and lets choose, and how many more there are."""
    heads = "".join(
        f"<th scope='col' data-first='{'down' if column in LARGEST_FIRST else 'up'}'><button type='button'>"
        f"{escape(say(f'runs.column.{column}', language))}</button></th>"
        for column in COLUMNS
    )
    body = "".join(
        f"<tr data-run='{escape(row['run'])}'>"
        f"{''.join(_drawn(*cell, row, language) for cell in zip(COLUMNS, _cells(row, language), strict=True))}</tr>"
        for row in rows[:MOST_ROWS]
    )
    more = say("runs.more", language, shown=MOST_ROWS, count=len(rows))
    note = f"<p>{escape(more)}</p>" if len(rows) > MOST_ROWS else ""
    return f"<div class='wide'><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>{note}"


def _drawn(column: str, cell: str, row: dict[str, Any], language: str) -> str:
    """A cell with what it is sorted by: the number behind a score or a time, else its text; a name has a tick."""
    by = {
        "score": display_names.score_value(row),
        "seconds": row.get("seconds"),
        "created": row.get("created"),
    }.get(column, cell.lower())
    text = escape(cell)
    if column == "name":
        tick = escape(say("runs.tick", language, run=row["run"]))
        text = f"<input type='checkbox' aria-label='{tick}' title='{tick}'><button type='button'>{text}</button>"
    return f"<td data-by='{escape('' if by is None else str(by))}'>{text}</td>"


def has_words(cells: list[str], text: str) -> bool:
    """Whether a row holds every word of a text, whatever their case."""
    row = " ".join(cells).lower()
    return all(word in row for word in text.lower().split())


def _cells(row: dict[str, Any], language: str) -> list[str]:
    return [_cell(row, column, language) for column in COLUMNS]


def _cell(row: dict[str, Any], column: str, language: str) -> str:
    if column == "name":  # a run that nobody named is known by its method
        return str(row.get("name") or str(row.get("method") or "").rpartition("/")[2])
    if column == "score":
        return display_names.score(row, language)
    if column == "created":
        return display_names.time(row.get("created"))
    if column == "status":
        return words(language).get(f"status.{row.get('status')}", str(row.get("status")))
    return _text(row.get(column))


def _text(value: Any) -> str:
    return "" if value is None else html.number(value) if isinstance(value, float) else str(value)
