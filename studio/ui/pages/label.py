"""Label: photos without labels become data. Begin a project, say what each image shows, train on it, take it away."""

from pathlib import Path
from typing import Any

import gradio as gr

from studio.core import registry
from studio.core.errors import DataError, UsageError
from studio.data.specs import require_allowed
from studio.data.writers import formats
from studio.label.desk import RULE, start
from studio.store.labelling import KINDS, projects
from studio.ui import forms, labelling
from studio.ui.catalogue import language_of, say, word
from studio.ui.files import served
from studio.ui.form import READ
from studio.ui.guard import guarded, inform
from studio.ui.pages.data import with_data
from studio.ui.scripts import script

FORMATS = ("folders", "coco", "voc", "yolo", "masks")
SENT = "(sent, ...rest) => [window.studioLabel.sent(), ...rest]"
FREE = "() => window.studioLabel?.free()"


def build(shared: Any, tab: Any) -> None:
    actions = shared.actions
    desks = actions.desks
    own = (word("labelling.proposer.own"), "")  # nobody but the labels so far
    with gr.Row():
        project = gr.Dropdown([], label=word("labelling.project"), elem_id="label-project", scale=2, min_width=220)
        rule = gr.Dropdown(
            [(word(f"labelling.rule.{known.name}"), known.name) for known in registry.rules()], value=RULE,
            label=word("labelling.rule"), elem_id="label-rule", min_width=220,
        )  # fmt: skip
        proposer = gr.Dropdown(
            [own], value="", label=word("labelling.proposer"), elem_id="label-proposer", min_width=220
        )
    with gr.Accordion(word("labelling.begin"), open=True, elem_id="label-begin") as begin_panel, gr.Row():
        with gr.Column(min_width=260):
            zipped = gr.File(
                label=word("labelling.zip"), file_types=[".zip"], file_count="single", height=130, elem_id="label-zip"
            )
            keep = gr.Checkbox(False, label=word("labelling.keep"), elem_id="label-keep")
        with gr.Column(min_width=260):
            written = gr.Textbox(
                label=word("labelling.data"), info=word("labelling.data.info"), max_lines=1, elem_id="label-data",
                visible=not actions.hosted,
            )  # fmt: skip
            name = gr.Textbox(label=word("labelling.name"), max_lines=1, elem_id="label-name")
        with gr.Column(min_width=260):
            kind = gr.Radio(
                [(word(f"labelling.kind.{one}"), one) for one in KINDS], value="classes", label=word("labelling.kind"),
                elem_id="label-kind",
            )  # fmt: skip
            classes = gr.Textbox(
                label=word("labelling.classes"),
                info=word("labelling.classes.info"),
                max_lines=1,
                elem_id="label-classes",
            )
            begin = gr.Button(word("labelling.begin.button"), variant="primary", elem_id="label-begin-button")
    entry = gr.HTML(
        html_template="<div></div>", js_on_load=script("label.js"),
        apply_default_css=False, elem_id="label-desk",
    )  # fmt: skip
    with gr.Row(visible=False) as ways_on:
        train = gr.Button(word("labelling.train"), variant="primary", elem_id="label-train")
        doubt = gr.Button(word("labelling.doubt"), elem_id="label-doubt")
        with gr.Column(min_width=240):
            form_of_export = gr.Dropdown(
                [(word(f"labelling.format.{one}"), one) for one in FORMATS], value="folders",
                label=word("labelling.format"), elem_id="label-format",
            )  # fmt: skip
            export = gr.Button(word("labelling.export"), elem_id="label-export")
    doubted = gr.Dropdown([], label=word("labelling.doubted"), visible=False, elem_id="label-doubted")
    exported = gr.File(label=word("labelling.download"), visible=False, elem_id="label-download")

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
    def listing(current: str | None) -> tuple[Any, Any, Any]:
        names = projects(actions.home)
        value = current if current in names else (names[0] if names else None)
        models = [own, *actions.checkpoints()]
        return gr.Dropdown(names, value=value), gr.Dropdown(models), gr.Accordion(open=not names)

    @guarded
    def open_project(chosen: str | None, by: str, proposing: str | None, request: gr.Request) -> tuple[Any, ...]:
        closed = gr.Dropdown([], value=None, visible=False), gr.File(visible=False)
        if not chosen:
            return None, gr.Row(visible=False), gr.skip(), gr.skip(), *closed
        labels = desks.get(actions.home, chosen).labels
        fitting = formats({"classes": "labels"}.get(labels.kind, labels.kind))
        choices = [(word(f"labelling.format.{one}"), one) for one in fitting]
        able = by if labels.kind == "classes" or not registry.rule_named(by).needs_classes else "random"
        return (
            desk_shown(chosen, able, proposing, request), gr.Row(visible=True),
            gr.Dropdown(choices, value=fitting[0]), able, *closed,
        )  # fmt: skip

    @guarded
    def begin_project(
        file: str | None, keeps: bool, data: str, wanted: str, chosen_kind: str, named: str, request: gr.Request
    ) -> tuple[Any, ...]:
        if not file and not (data or "").strip():
            raise UsageError(say("labelling.no_data", language_of(request)))
        given = actions.take_zip(file) if file else data.strip()
        spec = given if keeps or not file else f"images:{given.partition(':')[2]}"
        require_allowed(spec, actions.home.rights)
        title = labelling.free_name(wanted.strip() or Path(file or data).stem, projects(actions.home))
        start(title, spec, chosen_kind, [one.strip() for one in named.split(",") if one.strip()], actions.home)
        inform(say("labelling.begun", language_of(request), name=title), seconds=4)
        return gr.Dropdown(projects(actions.home), value=title), gr.Accordion(open=False), None, ""

    @guarded
    def act(sent: str, by: str, proposing: str | None, request: gr.Request) -> Any:
        said = labelling.read_act(sent)
        desk = desks.get(actions.home, said["project"])
        step = labelling.perform(desk, said)
        return desk_shown(said["project"], by, proposing, request, step, past=said.get("image"))

    @guarded
    def look_at(image: str | None, chosen: str | None, by: str, proposing: str | None, request: gr.Request) -> Any:
        return desk_shown(chosen, by, proposing, request, labelling.Step(image)) if image else gr.skip()

    @guarded
    def list_doubts(chosen: str | None, request: gr.Request) -> Any:
        doubts = desks.get(actions.home, chosen or "").doubts(budget=labelling.DOUBT_BUDGET)
        language = language_of(request)
        if not doubts:
            inform(say("labelling.no_doubts", language), seconds=6)
        choices = [
            (say("labelling.doubtful", language, image=one.image, label=one.label, likelier=one.likelier,
                 score=round(100 * one.likelier_score)), one.image)
            for one in doubts
        ]  # fmt: skip
        return gr.Dropdown(choices, value=choices[0][1] if choices else None, visible=bool(choices))

    @guarded
    def train_on(sent: str, chosen: str | None, request: gr.Request) -> list[Any]:
        desk = desks.get(actions.home, chosen or "")
        language, report = language_of(request), labelling.report_of(desk)
        if report["truth"] == "labels" and len(report["classes"]) < 2:
            raise DataError(say("labelling.one_class", language))
        screen = with_data(forms.read_screen(sent), desk.spec, report)
        return [*shared.form.fill(screen, language), gr.Tabs(selected="train")]

    @guarded
    def write_out(chosen: str | None, one: str) -> Any:
        return gr.File(served(labelling.zip_of(actions.home, desks.get(actions.home, chosen or ""), one)), visible=True)

    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    device = {"concurrency_id": "device", "concurrency_limit": 1}
    shown = [project, rule, proposer]
    whole = [entry, ways_on, form_of_export, rule, doubted, exported]
    tab.select(listing, [project], [project, proposer, begin_panel], **quiet)
    project.change(open_project, shown, whole, **quiet, **device)
    for box in (rule, proposer):
        box.input(look_again(desk_shown), shown, [entry], **quiet, **device)
    begin.click(
        begin_project, [zipped, keep, written, name, kind, classes], [project, begin_panel, zipped, name],
        api_visibility="private",
    )  # fmt: skip
    acted = entry.acted(act, [entry, rule, proposer], [entry], js=SENT, **quiet, **device)
    acted.failure(None, None, None, js=FREE)
    doubt.click(list_doubts, [project], [doubted], api_visibility="private", **device)
    doubted.change(look_at, [doubted, *shown], [entry], **quiet, **device)
    outputs = [*shared.form.filled, shared.tabs]
    shared.form.filled_by(
        train.click(train_on, [shared.form.entry, project], outputs, js=READ, api_visibility="private")
    )
    export.click(write_out, [project, form_of_export], [exported], api_visibility="private")


def look_again(desk_shown: Any) -> Any:
    @guarded
    def choose_again(chosen: str | None, by: str, proposing: str | None, request: gr.Request) -> Any:
        return desk_shown(chosen, by, proposing, request)

    return choose_again
