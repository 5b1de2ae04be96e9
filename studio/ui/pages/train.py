"""Train: choose a preset, change what matters, see what it costs and the command, start, watch."""

from typing import Any

import gradio as gr

from studio.core import recipe as recipes
from studio.core.errors import StudioError
from studio.runs.cost import PROBE_S
from studio.ui import forms, html
from studio.ui.actions import Actions
from studio.ui.catalogue import language_of, say, word
from studio.ui.command_line import command_line, python_call
from studio.ui.events import in_line
from studio.ui.form import READ, SETTLED
from studio.ui.guard import guarded, inform
from studio.ui.pages import live, sweeps
from studio.ui.transfer_question import question


def build(shared: Any) -> None:
    with gr.Row():
        with gr.Column(scale=5, min_width=320):
            shared.form.place()
        with gr.Column(scale=6, min_width=320):
            start = gr.Button(word("train.start"), variant="primary", size="lg", elem_id="train-start")
            cost = gr.HTML(elem_id="train-cost", padding=False)
            place = gr.Dropdown(
                [(word("train.here"), ""), *((word(f"train.on.{name}"), name) for name in shared.actions.places)],
                value="", label=word("train.on"), visible=bool(shared.actions.places), elem_id="train-on",
            )  # fmt: skip
            with gr.Row():
                probe = gr.Button(
                    word("train.probe"), elem_id="train-probe", size="sm", visible=not shared.actions.hosted
                )
                ask = gr.Button(word("train.ask"), elem_id="train-ask", size="sm")
            with gr.Row():
                stop = gr.Button(word("train.stop"), elem_id="train-stop", size="sm")
                resume = gr.Button(word("train.resume"), elem_id="train-resume", size="sm")
            live.build(shared)
            sweeps.build(shared, place)
            gr.Markdown(word("train.same"))
            with gr.Tabs(elem_id="train-same"):
                said = [
                    _said(word("train.command"), "train-command"),
                    _said("YAML", "train-yaml"),
                    _said("Python", "train-python"),
                ]

    @guarded
    def begin(sent: str, on: str, request: gr.Request) -> Any:
        language, screen = language_of(request), forms.read_screen(sent)
        shared.form.check_shown(screen, language)
        values = forms.values_of(screen)
        forms.check_filed(screen, recipes.parse(values))
        run_id = shared.actions.start(values, on=on or None)
        inform(say("train.started", language, run=run_id), seconds=4)
        return run_id

    @guarded
    def foretell(sent: str, request: gr.Request) -> str:
        return _foretold(shared.actions, sent, 0.0, language_of(request))

    @guarded
    def work_it_out(sent: str, request: gr.Request) -> str:
        return _foretold(shared.actions, sent, PROBE_S, language_of(request))

    @guarded
    def ask_first(sent: str, request: gr.Request) -> str:
        run_id = shared.actions.start(question(forms.read_screen(sent)))
        inform(say("train.asked", language_of(request), run=run_id), seconds=6)
        return run_id

    @guarded
    def ask_stop(run_id: str, request: gr.Request) -> None:
        language = language_of(request)
        view = shared.actions.view(run_id) if run_id else None
        if view is None:
            inform(say("train.no_run", language), seconds=4)
        elif view.over:
            inform(say("train.over", language, status=say(f"status.{view.status}", language)), seconds=4)
        else:
            shared.actions.stop(run_id)
            inform(say("train.stopping", language), seconds=4)

    @guarded
    def go_on(run_id: str, request: gr.Request) -> None:
        if run_id:
            shared.actions.resume(run_id)
        else:
            inform(say("train.no_run", language_of(request)), seconds=4)

    private, form = {"api_visibility": "private"}, shared.form.entry
    filing = {"js": SETTLED, "trigger_mode": "once", **private}
    begun = in_line(start.click, "filing", begin, [form, place], [shared.run], concurrency_limit=2, **filing)
    asked = in_line(ask.click, "filing", ask_first, [form], [shared.run], **filing)
    filed = "async () => await studioLine.empty('filing')"
    stopping = stop.click(None, None, None, js=filed, **private)  # the run that was started, not the one before
    stopping.then(ask_stop, [shared.run], None, show_progress="hidden", trigger_mode="multiple", **private)
    resumed = resume.click(go_on, [shared.run], None, show_progress="hidden", **private)
    if shared.actions.zero_gpu:
        for event in (begun, resumed, asked):
            event.success(guarded(shared.actions.work), [shared.run], None, show_progress="hidden", **private)
    probe.click(work_it_out, [form], [cost], js=SETTLED, concurrency_limit=1, **private)
    edited = {"js": READ, "trigger_mode": "always_last", "show_progress": "hidden", **private}
    form.edited(_same, [form], said, **edited)
    form.edited(foretell, [form], [cost], **edited)


def _said(title: Any, name: str) -> gr.Markdown:
    with gr.Tab(title):
        return gr.Markdown(elem_id=name)


def _same(sent: str) -> tuple[str, str, str]:
    """The command line, the YAML and the Python that do what the form says, or what is wrong with it."""
    try:
        screen = forms.read_screen(sent)
        recipe = recipes.parse(forms.values_of(screen))
        same = command_line(recipe, screen.preset), recipes.to_yaml(recipe), python_call(recipe, screen.preset)
    except StudioError as error:
        same = ("\n".join(f"# {line}" for line in str(error).splitlines()),) * 3
    shell, yaml, python = same
    return html.code(shell, "shell"), html.code(yaml, "yaml"), html.code(python, "python")


def _foretold(actions: Actions, sent: str, probe_s: float, language: str) -> str:
    """What the run will cost, in a line; where the form is wrong, that is said where it is read, and not here."""
    try:
        estimate = actions.cost(forms.values_of(forms.read_screen(sent)), probe_s)
    except StudioError:
        if probe_s:
            raise
        return ""
    return html.cost(estimate, language, actions.hosted)
