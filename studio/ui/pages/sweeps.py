"""Sweeps below Train: which keys of the form are varied, how many runs, and how far each sweep is."""

from typing import Any

import gradio as gr

from studio.ui import comparison_html, forms, html
from studio.ui.actions import Actions
from studio.ui.catalogue import language_of, say, word
from studio.ui.form import SETTLED
from studio.ui.guard import guarded, inform

EXAMPLE = "train.lr=log:1e-4..1e-2\nparams.rank=4,8,16"


def build(shared: Any, place: Any) -> None:
    """An accordion on the page of this machine's own user; `place` is the box that says where runs are worked on."""
    with gr.Accordion(word("sweep.title"), open=False, visible=not shared.actions.hosted, elem_id="train-sweep"):
        overs = gr.Textbox(
            label=word("sweep.over"), info=word("sweep.over.info"), placeholder=EXAMPLE, lines=2, elem_id="sweep-over"
        )
        trials = gr.Number(20, label=word("sweep.trials"), precision=0, minimum=1, maximum=1000, elem_id="sweep-trials")
        grid = gr.Checkbox(label=word("sweep.grid"), info=word("sweep.grid.info"), elem_id="sweep-grid")
        with gr.Row():
            start = gr.Button(word("sweep.start"), elem_id="sweep-start", size="sm")
            look = gr.Button(word("sweep.look"), elem_id="sweep-look", size="sm")
            stop = gr.Button(word("sweep.stop"), elem_id="sweep-stop", size="sm")
        shown = gr.HTML(elem_id="sweep-shown", padding=False)

    @guarded
    def begin_sweep(sent: str, keys: str, count: float, every: bool, on: str, request: gr.Request) -> str:
        language, screen = language_of(request), forms.read_screen(sent)
        shared.form.check_shown(screen, language)
        name = shared.actions.sweep(forms.values_of(screen), keys.splitlines(), int(count), on or None, every)
        inform(say("sweep.started", language, name=name), seconds=6)
        return html.sweeps(shared.actions.sweeps(), language)

    @guarded
    def far(request: gr.Request) -> str:
        return how_far(shared.actions, language_of(request))

    @guarded
    def end(request: gr.Request) -> None:
        language = language_of(request)
        if newest := shared.actions.sweeps()[:1]:
            shared.actions.stop_sweep(newest[0].name)
            inform(say("sweep.stopping", language, name=newest[0].name), seconds=6)
        else:
            inform(say("sweep.none", language), seconds=4)

    private = {"api_visibility": "private"}
    start.click(begin_sweep, [shared.form.entry, overs, trials, grid, place], [shown], js=SETTLED, **private)
    look.click(far, None, [shown], **private)
    stop.click(end, None, None, show_progress="hidden", **private)


def how_far(actions: Actions, language: str) -> str:
    """How far each sweep is, and the table of the newest so far: of the run that put it together, or of its runs."""
    sweeps = actions.sweeps()
    runs = actions.sweep_results(sweeps[0].name) if sweeps else []
    if len(runs) == 1:
        table = "".join(html.table(event, language) for event in actions.view(runs[0]).tables)
    else:
        table = comparison_html.draw(actions.compare(runs), language) if runs else ""
    return html.sweeps(sweeps, language) + table
