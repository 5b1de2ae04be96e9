"""The runs that are ticked on the Runs page: what differs, numbers with intervals, curves on one chart."""

from typing import Any

import gradio as gr

from studio.runs.comparison import Comparison
from studio.ui import comparison_html, curves, display_names
from studio.ui.catalogue import language_of, word
from studio.ui.events import LATEST
from studio.ui.guard import guarded


def build(shared: Any, table: Any) -> None:
    """Below `table`, whose ticks say which runs."""
    actions = shared.actions
    ticked = gr.Textbox(visible="hidden", elem_id="runs-ticked")  # ids, by commas
    with gr.Column(visible=False, elem_id="runs-compared") as panel:
        drawn = gr.HTML(elem_id="runs-comparison", padding=False)
        name = gr.Dropdown([], label=word("runs.curve"), elem_id="runs-curve", allow_custom_value=False)
        chart = gr.HTML(elem_id="runs-curves", padding=False)

    @guarded
    def compare(ids: str, current: str | None, request: gr.Request) -> Any:
        runs = ids.split(",")
        if len(runs) < 2:
            return ids, gr.Column(visible=False), "", gr.skip(), gr.skip()
        comparison = actions.compare(runs)
        language, names = language_of(request), curve_names([actions.view(run).scalars for run in runs])
        shown = current if current in names else (names or [None])[0]
        listed = [(called(comparison, name, language), name) for name in names]
        return (
            ids, gr.Column(visible=True), comparison_html.draw(comparison, language),
            gr.Dropdown(listed, value=shown, visible=bool(names)), plot(comparison, shown, language),
        )  # fmt: skip

    def called(comparison: Comparison, shown: str | None, language: str) -> str:
        return display_names.curve(shown or "", comparison.rows[0].task, language)

    def plot(comparison: Comparison, shown: str | None, language: str) -> str:
        """The curve `shown` of every run; several seeds of a row by the ends of their ids."""
        drawn = {
            row.label if len(row.runs) == 1 else f"{row.label} · {run[-4:]}": [
                (point["step"], point["value"]) for point in actions.view(run).scalars if point["name"] == shown
            ]
            for row in comparison.rows for run in row.runs
        }  # fmt: skip
        title = called(comparison, shown, language)
        return curves.draw({name: points for name, points in drawn.items() if points}, title)

    @guarded
    def redraw(ids: str, shown: str | None, request: gr.Request) -> str:
        runs = ids.split(",")
        return plot(actions.compare(runs), shown, language_of(request)) if len(runs) > 1 else ""

    latest = {"show_progress": "hidden", **LATEST}
    table.ticked(
        compare, [ticked, name], [ticked, panel, drawn, name, chart],
        js="(_, name) => [(window.studioTickedRuns ?? []).join(), name]", **latest,
    )  # fmt: skip
    name.select(redraw, [ticked, name], [chart], **latest)


def curve_names(scalars: list[list[dict[str, Any]]]) -> list[str]:
    """Names of curves, those that most runs have first, and of these what was judged before what was minimised."""
    of_runs = [dict.fromkeys(point["name"] for point in points) for points in scalars]
    names = dict.fromkeys(name for seen in of_runs for name in seen)
    return sorted(names, key=lambda name: (-sum(name in seen for seen in of_runs), "val/" not in name, "loss" in name))
