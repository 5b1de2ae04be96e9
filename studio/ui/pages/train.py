"""Train: choose a preset, change what matters, see the command, start, watch."""

from typing import Any

import gradio as gr

from studio.core import recipe as recipes
from studio.core.errors import StudioError
from studio.ui import forms
from studio.ui.catalogue import language_of, say, word
from studio.ui.command_line import command_line
from studio.ui.form import READ, SETTLED
from studio.ui.guard import guarded, inform
from studio.ui.pages import live


def build(shared: Any) -> None:
    with gr.Row():
        with gr.Column(scale=5, min_width=320):
            shared.form.place()
        with gr.Column(scale=6, min_width=320):
            start = gr.Button(word("train.start"), variant="primary", size="lg", elem_id="train-start")
            with gr.Row():
                stop = gr.Button(word("train.stop"), elem_id="train-stop", size="sm")
                resume = gr.Button(word("train.resume"), elem_id="train-resume", size="sm")
            live.build(shared)
            with gr.Accordion(word("train.same"), open=False, elem_id="train-same"):
                command = gr.Code(
                    language="shell", label=word("train.command"), elem_id="train-command", interactive=False
                )
                text = gr.Code(language="yaml", label="YAML", elem_id="train-yaml", interactive=False)

    @guarded
    def begin(sent: str, request: gr.Request) -> Any:
        language, screen = language_of(request), forms.read_screen(sent)
        shared.form.check_shown(screen, language)
        values = forms.values_of(screen)
        forms.check_filed(screen, recipes.parse(values))
        run_id = shared.actions.start(values)
        inform(say("train.started", language, run=run_id), seconds=4)
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
    start.click(begin, [form], [shared.run], js=SETTLED, concurrency_limit=2, **private)
    stop.click(ask_stop, [shared.run], None, show_progress="hidden", **private)
    resume.click(go_on, [shared.run], None, show_progress="hidden", **private)
    form.edited(_same, [form], [command, text], js=READ, trigger_mode="always_last", show_progress="hidden", **private)


def _same(sent: str) -> tuple[str, str]:
    """The command line and the YAML that do what the form says, or what is wrong with it."""
    try:
        screen = forms.read_screen(sent)
        recipe = recipes.parse(forms.values_of(screen))
        return command_line(recipe, screen.preset), recipes.to_yaml(recipe)
    except StudioError as error:
        wrong = "\n".join(f"# {line}" for line in str(error).splitlines())
        return wrong, wrong
