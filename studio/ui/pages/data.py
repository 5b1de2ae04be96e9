"""Data: a zip, photos by class, or a data spec; then the report card and its images."""

import json
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from studio.core import recipe as recipes
from studio.core import registry
from studio.core.errors import DataError, StudioError
from studio.ui import forms, html
from studio.ui.catalogue import language_of, piece, say, word
from studio.ui.events import in_line
from studio.ui.forms import Screen
from studio.ui.guard import guarded, inform
from studio.ui.pages import class_boxes, image_grid, versions
from studio.ui.scripts import script
from studio.ui.tabs import opens

#: the preset with which two domains begin, by what their items carry
ADAPTING = {"labels": "align-compare", "boxes": "scenes-clear-to-fog", "none": "clear-to-night"}
ROLES = ("train", "source", "target", "val", "test")
SAMPLES = ("builtin:digits?per_class=40", "builtin:glyphs?classes=20", "builtin:scenes?images=120")


def build(shared: Any) -> None:
    spec = gr.State("")
    taken = gr.Textbox(visible="hidden", elem_id="data-taken")  # what the form is still to take up
    role = gr.Radio(
        [(word(f"data.role.{name}"), name) for name in ROLES], value="train", label=word("data.role"),
        info=word("data.role.info"), elem_id="data-role",
    )  # fmt: skip
    with gr.Tabs(elem_id="data-ways"):
        with gr.Tab(word("data.boxes"), id="boxes", elem_id="data-boxes-tab"):
            names, files = class_boxes.build()
            use_boxes = gr.Button(word("data.use"), elem_id="data-use-boxes", variant="primary")
        with gr.Tab(word("data.zip"), id="zip", elem_id="data-zip-tab"):
            zipped = gr.File(label=word("data.zip.label"), file_types=[".zip"], file_count="single", elem_id="data-zip")
            gr.HTML(
                piece("data.folder"), js_on_load=script("folder.js"), elem_id="data-folder", padding=False,
            )  # fmt: skip
        with gr.Tab(word("data.spec"), id="spec", elem_id="data-spec-tab"):
            written = gr.Dropdown(
                list(SAMPLES), value=SAMPLES[0], allow_custom_value=True, label=word("data.spec.label"),
                info=word("data.spec.info"), elem_id="data-spec",
            )  # fmt: skip
            use_spec = gr.Button(word("data.use"), elem_id="data-use-spec", variant="primary")
    card = gr.HTML(elem_id="data-report")
    onward = gr.Button(word("data.onward"), visible=False, variant="primary", elem_id="data-onward")
    grid = image_grid.build(shared)
    kept = versions.build(shared, spec)
    shown_outputs = [taken, spec, card, *grid.outputs]

    def use(data_spec: str, part: str, request: gr.Request) -> tuple[Any, ...]:
        examined = shared.actions.examine(data_spec)
        report, language = examined.report, language_of(request)
        if part in ("train", "source"):
            refuse_one_class(report, language)
        said = {"spec": data_spec, "role": part, "report": {key: report[key] for key in ("truth", "classes")}}
        return json.dumps(said), data_spec, html.report_card(report, language), *grid.fill(examined, language)

    @guarded
    def take_up(sent: str, said: str, request: gr.Request) -> tuple[Any, ...]:
        new, language = json.loads(said), language_of(request)
        screen = with_data(forms.read_screen(sent), new["spec"], new["report"], new["role"])
        inform(say("data.taken", language, role=say(f"data.role.{new['role']}", language)), seconds=4)
        return *shared.form.fill(screen, language), gr.Button(visible=True)

    @guarded
    def take_boxes(part: str, request: gr.Request, *boxes: Any) -> tuple[Any, ...]:
        photos: dict[str, list[str]] = {}
        for number, (name, chosen) in enumerate(zip(boxes[: len(names)], boxes[len(names) :], strict=True), start=1):
            if chosen and not (name or "").strip():
                raise DataError(say("data.unnamed", language_of(request), number=number))
            if chosen:
                photos.setdefault(name.strip(), []).extend(chosen)
        return use(shared.actions.take_classes(photos), part, request)

    @guarded
    def take_zip(part: str, file: str | None, request: gr.Request) -> tuple[Any, ...]:
        if not file:
            return (gr.skip(),) * len(shown_outputs)
        kept = shared.actions.take_zip(file)
        try:
            return use(kept, part, request)
        except StudioError as error:  # it names the file that was kept; a person knows the one that was given
            raise DataError(str(error).replace(Path(kept).name, Path(file).name)) from error

    @guarded
    def take_spec(part: str, text: str, request: gr.Request) -> tuple[Any, ...]:
        return use(text.strip(), part, request)

    @guarded
    def take_version(part: str, name: str | None, request: gr.Request) -> tuple[Any, ...]:
        if not name:
            raise DataError(say("versions.none", language_of(request)))
        return use(f"version:{name}", part, request)

    for given, take, inputs in (
        (use_boxes.click, take_boxes, [*names, *files]),
        (zipped.upload, take_zip, [zipped]),
        (use_spec.click, take_spec, [written]),
        (kept.use.click, take_version, [kept.chosen]),
    ):  # the form takes them up in an event of its own: while they are looked at, it may be edited
        looked = {"api_visibility": "private", "show_progress_on": [card]}
        taking = in_line(given, "data", take, [role, *inputs], shown_outputs, **looked)
        shared.form.filled_by(taking.success, take_up, [shared.form.entry, taken], [*shared.form.filled, onward])
    onward.click(**opens("train"))


def folder_drop(language: str) -> str:
    """Where a folder is dropped, or chosen by a click."""
    text = escape(say("data.folder.label", language))
    return f"<label>{text}<input type='file' webkitdirectory multiple aria-label='{text}'></label>"


def with_data(screen: Screen, spec: str, report: dict[str, Any], role: str = "train") -> Screen:
    """The form with these data, and with a preset that takes such data where the form's own doesn't."""
    truth = report["truth"]
    preset = _fitting_preset(screen, role, truth)
    values = recipes.read_yaml(recipes.find_preset(preset)) if preset else forms.values_of(screen)
    before, samples = dict(values.get("data", {})), _samples(preset or screen.preset)
    for note in recipes.override(values, {f"data.{role}": spec}):
        inform(note)
    for other in {"train": ("val", "test"), "source": ("target",), "target": ("source",)}.get(role, ()):
        if _goes_with(role, other, before, samples):
            values["data"].pop(other, None)
    present = sum(count > 0 for count in report["classes"].values())
    episodes = "eval.ways" in recipes.fields_of(registry.get(values.get("method", screen.method)).task)
    if role == "train" and truth == "labels" and episodes and present < forms.value_of(values, "eval.ways"):
        recipes.put(values, "eval.ways", max(2, present))
    return forms.screen_of(values, preset or screen.preset)


def _fitting_preset(screen: Screen, role: str, truth: str) -> str | None:
    """The preset to go on with; None where the form's method takes such data in this role already."""
    task, shown = registry.task_named(registry.get(screen.method).task), forms.keys(Screen(screen.method))[0]
    fits = truth in (task.truth, *task.takes)
    adapts = "data.source" in shown
    if role in ("source", "target") and truth in ADAPTING:
        return None if adapts and fits else ADAPTING[truth]
    if fits and not (adapts and role == "train" and "data.train" not in shown):
        return None
    return next((task.starter for task in registry.tasks() if task.truth == truth and task.starter), None)


def _goes_with(role: str, other: str, before: dict[str, str], samples: dict[str, str]) -> bool:
    """Whether the data in one role go as those in another are replaced: a preset's own, and those of a former set."""
    replaced, gone = (before.get(part) == samples.get(part) for part in (role, other))
    return replaced and gone if role in ("source", "target") else gone or not replaced


def _samples(preset: str) -> dict[str, str]:
    """The built-in data of a shipped preset by their role."""
    path = recipes.presets().get(preset)
    data = recipes.read_yaml(path).get("data", {}) if path else {}
    return {part: spec for part, spec in data.items() if str(spec).startswith("builtin:")}


def refuse_one_class(report: dict[str, Any], language: str) -> None:
    """Raises DataError where images that have a class each are all of one."""
    present = [name for name, count in report["classes"].items() if count]
    if len(present) == 1 and report["truth"] == "labels":
        raise DataError(say("data.one_class", language, name=present[0]))
