"""Label: photos without labels become data. Begin a project, say what each image shows, use what was said."""

from typing import Any

import gradio as gr

from studio.core import registry
from studio.label.desk import RULE
from studio.store.labelling import projects
from studio.ui import labelling
from studio.ui.catalogue import language_of, word
from studio.ui.events import LATEST, renewed
from studio.ui.guard import guarded
from studio.ui.pages import label_begin
from studio.ui.pages.label_use import LabelUse
from studio.ui.scripts import script
from studio.ui.tabs import once_seen

SENT = "(sent, ...rest) => [window.studioLabel.sent(), ...rest]"
FREE = "() => window.studioLabel?.free()"


def build(shared: Any, tab: Any, page: gr.Blocks) -> None:
    actions = shared.actions
    desks = actions.desks
    nobody = (word("labelling.proposer.own"), "")  # nobody but the labels so far
    with gr.Row():
        project = gr.Dropdown([], label=word("labelling.project"), elem_id="label-project", scale=2, min_width=220)
        rule = gr.Dropdown(
            [(word(f"labelling.rule.{known.name}"), known.name) for known in registry.rules()], value=RULE,
            label=word("labelling.rule"), elem_id="label-rule", min_width=220,
        )  # fmt: skip
        proposer = gr.Dropdown(
            [nobody], value="", label=word("labelling.proposer"), elem_id="label-proposer", min_width=220
        )
    begin_panel = label_begin.build(actions, project)
    entry = gr.HTML(
        html_template="<div></div>", js_on_load=script("label.js"), apply_default_css=False, elem_id="label-desk"
    )
    use = LabelUse(shared, project)

    def desk_shown(
        chosen: str | None, by: str, proposing: str | None, request: gr.Request,
        step: labelling.Step = labelling.NEXT, past: str | None = None,
    ) -> Any:  # fmt: skip
        if not chosen:
            return None
        model = actions.model(proposing) if proposing else None
        desk = desks.get(actions.home, chosen)
        return labelling.shown(desk, language_of(request), by, step, past, model)

    @guarded
    def begin_shown() -> Any:
        return gr.Accordion(open=False) if projects(actions.home) else gr.skip()

    @guarded
    def listing(current: str | None) -> tuple[Any, Any]:
        names = projects(actions.home)
        models = [nobody, *actions.checkpoints()]
        return renewed([(name, name) for name in names], current, next(iter(names), None)), gr.Dropdown(models)

    @guarded
    def open_project(chosen: str | None, by: str, proposing: str | None, request: gr.Request) -> tuple[Any, ...]:
        if not chosen:
            return None, gr.skip(), *use.opened(None)
        kind = desks.get(actions.home, chosen).labels.kind
        able = by if kind == "classes" or not registry.rule_named(by).needs_classes else "random"
        return desk_shown(chosen, able, proposing, request), able, *use.opened(kind)

    @guarded
    def choose_again(chosen: str | None, by: str, proposing: str | None, request: gr.Request) -> Any:
        return desk_shown(chosen, by, proposing, request)

    @guarded
    def act(sent: str, by: str, proposing: str | None, request: gr.Request) -> Any:
        said = labelling.read_act(sent)
        desk = desks.get(actions.home, said["project"])
        step = labelling.perform(desk, said)
        return desk_shown(said["project"], by, proposing, request, step, past=said.get("image"))

    @guarded
    def look_at(image: str | None, chosen: str | None, by: str, proposing: str | None, request: gr.Request) -> Any:
        return desk_shown(chosen, by, proposing, request, labelling.Step(image)) if image else gr.skip()

    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    latest = {"show_progress": "hidden", **LATEST}
    device = {"concurrency_id": "device", "concurrency_limit": 1}
    shown = [project, rule, proposer]
    page.load(begin_shown, None, [begin_panel], **quiet)  # never later: one that was opened since stays so
    once_seen(tab)(listing, [project], [project, proposer], **latest)
    project.change(open_project, shown, [entry, rule, *use.outputs], **quiet, **device)
    gr.on([rule.select, proposer.select], choose_again, shown, [entry], **latest, **device)
    acted = entry.acted(act, [entry, rule, proposer], [entry], js=SENT, **latest, **device)
    acted.failure(None, None, None, js=FREE)
    use.doubted.change(look_at, [use.doubted, *shown], [entry], **quiet, **device)
