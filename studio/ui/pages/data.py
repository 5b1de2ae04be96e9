"""Data: a zip, photos by class, or a data spec; then the report card."""

from copy import deepcopy
from typing import Any

import gradio as gr

from studio.core import recipe as recipes
from studio.core import registry
from studio.core.errors import DataError
from studio.ui import forms, html
from studio.ui.catalogue import language_of, say, word
from studio.ui.guard import guarded

BOXES = 8
SAMPLES = ("builtin:digits?per_class=40", "builtin:glyphs?classes=20", "builtin:scenes?images=120")


def build(shared: Any) -> list[Any]:
    """Lays the tab out; returns the events by which data are taken in."""
    spec = gr.State("")
    with gr.Tabs(elem_id="data-ways"):
        with gr.Tab(word("data.boxes"), id="boxes", elem_id="data-boxes-tab"):
            names, files, shown = _class_boxes()
            use_boxes = gr.Button(word("data.use"), elem_id="data-use-boxes", variant="primary")
        with gr.Tab(word("data.zip"), id="zip", elem_id="data-zip-tab"):
            zipped = gr.File(label=word("data.zip.label"), file_types=[".zip"], file_count="single", elem_id="data-zip")
        with gr.Tab(word("data.spec"), id="spec", elem_id="data-spec-tab"):
            written = gr.Dropdown(
                list(SAMPLES), value=SAMPLES[0], allow_custom_value=True, label=word("data.spec.label"),
                info=word("data.spec.info"), elem_id="data-spec",
            )  # fmt: skip
            use_spec = gr.Button(word("data.use"), elem_id="data-use-spec", variant="primary")
    card = gr.HTML(elem_id="data-report")
    thumbnails = gr.Gallery(
        label=word("data.look"), columns=8, height=230, visible=False, elem_id="data-gallery", buttons=["fullscreen"]
    )
    onward = gr.Button(word("data.onward"), visible=False, variant="primary", elem_id="data-onward")
    shown_outputs = [shared.recipe, spec, card, thumbnails, onward]

    def use(data_spec: str, values: dict[str, Any], request: gr.Request | None) -> tuple[Any, ...]:
        if shared.desk.hosted and not shared.desk.allows(data_spec):
            raise DataError(say("data.hosted", language_of(request)))
        found = shared.desk.examine(data_spec)
        report, pictures = found.report, found.images
        values = deepcopy(_fitting(values or {}, bool(report["boxes"])))
        for note in recipes.override(values, {"data.train": data_spec}):
            gr.Info(note)
        for key in ("data.val", "data.test"):
            values = forms.drop(values, key)
        present = sum(count > 0 for count in report["classes"].values())
        if not report["boxes"] and present < forms.value_of(values, "eval.ways"):
            values = forms.put(values, "eval.ways", max(2, present))
        return (
            values,
            data_spec,
            html.report_card(report, language_of(request)),
            gr.Gallery(pictures, visible=bool(pictures)),
            gr.Button(visible=True),
        )

    @guarded
    def take_boxes(values: dict[str, Any], request: gr.Request, *boxes: Any) -> tuple[Any, ...]:
        photos: dict[str, list[str]] = {}
        for number, (name, chosen) in enumerate(zip(boxes[:BOXES], boxes[BOXES:], strict=True), start=1):
            if chosen and not (name or "").strip():
                raise DataError(say("data.unnamed", language_of(request), number=number))
            if chosen:
                photos.setdefault(name.strip(), []).extend(chosen)
        return use(shared.desk.take_classes(photos), values, request)

    @guarded
    def take_zip(file: str | None, values: dict[str, Any], request: gr.Request) -> tuple[Any, ...]:
        return use(shared.desk.take_zip(file), values, request) if file else (gr.skip(),) * len(shown_outputs)

    @guarded
    def take_spec(text: str, values: dict[str, Any], request: gr.Request) -> tuple[Any, ...]:
        return use(text.strip(), values, request)

    taken = [
        use_boxes.click(take_boxes, [shared.recipe, *names, *files], shown_outputs, api_visibility="private"),
        zipped.upload(take_zip, [zipped, shared.recipe], shown_outputs, api_visibility="private"),
        use_spec.click(take_spec, [written, shared.recipe], shown_outputs, api_visibility="private"),
    ]
    onward.click(lambda: gr.Tabs(selected="train"), None, shared.tabs, api_visibility="private")
    return taken


def connect(shared: Any, taken: list[Any], filled: list[Any]) -> None:
    """Shows what data have changed in the recipe on the train tab; `filled` are that tab's fields."""
    from studio.ui.pages.train import refill

    for event in taken:
        event.then(refill, [shared.recipe], filled, show_progress="hidden", api_visibility="private")


def _fitting(values: dict[str, Any], boxed: bool) -> dict[str, Any]:
    """The recipe as it is where it takes such data, else that of a preset: boxes are detected, the rest classified."""
    truth = "boxes" if boxed else "labels"
    task = values.get("task") or recipes.Recipe.model_fields["task"].default
    if registry.task_named(task).truth == truth:
        return values
    starter = next(task.starter for task in registry.tasks() if task.truth == truth and task.starter)
    return recipes.read_yaml(recipes.find_preset(starter))


def _class_boxes() -> tuple[list[Any], list[Any], Any]:
    """Boxes of a class name and its photos; two at first, more by a button."""
    names, files, rows = [], [], []
    shown = gr.State(2)
    for start in range(0, BOXES, 2):
        with gr.Row(visible=start == 0) as row:
            for number in (start + 1, start + 2):
                with gr.Column(min_width=240):
                    names.append(
                        gr.Textbox(
                            label=word("data.class"),
                            placeholder=word("data.class.example"),
                            max_lines=1,
                            elem_id=f"class-name-{number}",
                        )
                    )
                    files.append(
                        gr.File(
                            label=word("data.photos"),
                            file_count="multiple",
                            file_types=["image"],
                            height=130,
                            elem_id=f"class-files-{number}",
                        )
                    )
        rows.append(row)
    more = gr.Button(word("data.more"), size="sm", elem_id="data-more-classes")

    def show_more(count: int) -> list[Any]:
        count = min(BOXES, count + 2)
        return [count, *(gr.Row(visible=2 * place < count) for place in range(len(rows)))]

    more.click(show_more, shown, [shown, *rows], show_progress="hidden", api_visibility="private")
    return names, files, shown
