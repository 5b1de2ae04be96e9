"""Runs: every run of this home, one in full, two side by side."""

from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from studio.ui import display_names, forms, html
from studio.ui.catalogue import language_of, say, word, words
from studio.ui.files import served
from studio.ui.guard import guarded

COLUMNS = ("name", "score", "status", "created", "seconds", "method", "run", "checkpoint")
SCRIPT = Path(__file__).parents[1] / "runs_table.js"
LARGEST_FIRST = ("score", "created", "seconds")  # at the first click on the head; the rest from A to Z


def build(shared: Any, tab: Any) -> None:
    actions = shared.actions
    with gr.Row():
        wanted = gr.Textbox(label=word("runs.filter"), max_lines=1, scale=4, min_width=200, elem_id="runs-filter")
        refresh = gr.Button(word("runs.refresh"), size="sm", min_width=120, elem_id="runs-refresh")
    table = gr.HTML(
        html_template="<div></div>", js_on_load=SCRIPT.read_text(encoding="utf-8"), apply_default_css=False,
        elem_id="runs-table",
    )  # fmt: skip
    with gr.Row():
        chosen = gr.Dropdown([], label=word("runs.one"), elem_id="runs-one", allow_custom_value=False, min_width=280)
        other = gr.Dropdown([], label=word("runs.other"), elem_id="runs-other", allow_custom_value=False, min_width=280)
    state = gr.HTML(elem_id="runs-state")
    with gr.Row():
        watch = gr.Button(word("runs.watch"), size="sm", elem_id="runs-watch")
        reuse = gr.Button(word("runs.reuse"), size="sm", elem_id="runs-reuse")
    difference = gr.Dataframe(
        visible=False, interactive=False, elem_id="runs-difference", label=word("runs.difference")
    )
    figures = gr.Gallery(
        columns=3, visible=False, elem_id="runs-figures", object_fit="contain", buttons=["fullscreen", "download"]
    )

    @guarded
    def listing(current: str | None, words_in: str, request: gr.Request) -> Any:
        rows = actions.store.runs()
        ids = [row["run"] for row in rows]
        shown = table_of_runs(rows, words_in, language_of(request))
        return shown, gr.Dropdown(ids, value=current if current in ids else None), gr.Dropdown(ids)

    @guarded
    def show(run_id: str | None, request: gr.Request) -> Any:
        if not run_id:
            return "", gr.Gallery(visible=False)
        view = actions.view(run_id)
        return (
            html.run_state(view, language_of(request)),
            gr.Gallery([(served(path), name) for path, name in view.figures], visible=bool(view.figures)),
        )

    @guarded
    def compare(first: str | None, second: str | None) -> Any:
        if not first or not second:
            return gr.Dataframe(visible=False)
        rows = differences(actions.view(first), actions.view(second))
        return gr.Dataframe({"headers": ["", first, second], "data": rows}, visible=True)

    @guarded
    def take_recipe(run_id: str | None, request: gr.Request) -> Any:
        if not run_id:
            return [gr.skip()] * (len(shared.form.filled) + 1)
        screen = forms.screen_of(actions.store.run(run_id).recipe().model_dump(exclude_defaults=True))
        return [*shared.form.fill(screen, language_of(request)), gr.Tabs(selected="train")]

    private = {"api_visibility": "private", "show_progress": "hidden"}
    for event in (tab.select, refresh.click, wanted.submit, wanted.blur):
        event(listing, [chosen, wanted], [table, chosen, other], **private)
    chosen.change(show, [chosen], [state, figures], **private)
    for component in (chosen, other):
        component.change(compare, [chosen, other], [difference], **private)
    table.chosen(None, None, [chosen], js="() => window.studioChosenRun", **private)
    watch.click(
        lambda run_id: (run_id or gr.skip(), gr.Tabs(selected="train")), [chosen], [shared.run, shared.tabs], **private
    )
    shared.form.filled_by(reuse.click(take_recipe, [chosen], [*shared.form.filled, shared.tabs], **private))


def table_of_runs(rows: list[dict[str, Any]], words_in: str, language: str) -> str:
    """The runs that have these words in their cells, newest first, as `runs_table.js` sorts them and lets choose."""
    heads = "".join(
        f"<th scope='col' data-first='{'down' if column in LARGEST_FIRST else 'up'}'><button type='button'>"
        f"{escape(say(f'runs.column.{column}', language))}</button></th>"
        for column in COLUMNS
    )
    body = "".join(
        f"<tr data-run='{escape(row['run'])}'>{''.join(map(_drawn, COLUMNS, cells, [row] * len(cells)))}</tr>"
        for row in rows
        if has_words(cells := [_cell(row, column, language) for column in COLUMNS], words_in)
    )
    return f"<div class='wide'><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"


def _drawn(column: str, cell: str, row: dict[str, Any]) -> str:
    """A cell with what it is sorted by: the number behind a score or a time, else its text."""
    by = {
        "score": display_names.score_value(row),
        "seconds": row.get("seconds"),
        "created": row.get("created"),
    }.get(column, cell.lower())
    text = f"<button type='button'>{escape(cell)}</button>" if column == "name" else escape(cell)
    return f"<td data-by='{escape('' if by is None else str(by))}'>{text}</td>"


def has_words(cells: list[str], text: str) -> bool:
    """Whether a row holds every word of a text, whatever their case."""
    row = " ".join(cells).lower()
    return all(word in row for word in text.lower().split())


def differences(first: Any, second: Any) -> list[list[str]]:
    """Rows of what differs between two runs, recipes first, then numbers."""
    import yaml

    rows = []
    for one, two in (
        (_flat(yaml.safe_load(first.recipe)), _flat(yaml.safe_load(second.recipe))),
        (first.metrics, second.metrics),
    ):
        for key in sorted({*one, *two}, key=str):
            left, right = one.get(key), two.get(key)
            if left != right and not isinstance(left, (dict, list)) and not isinstance(right, (dict, list)):
                rows.append([key, _text(left), _text(right)])
    return rows


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


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in (values or {}).items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value})
    return flat
