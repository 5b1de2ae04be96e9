"""Learn: topics, and every method as a page made from its own docstring and parameters, with a live picture."""

from typing import Any

import gradio as gr

from studio.core import registry
from studio.ui import forms
from studio.ui.catalogue import language_of, method_choices, piece, word
from studio.ui.events import LATEST
from studio.ui.guard import guarded
from studio.ui.lesson import lesson, presets_of, topic_lesson
from studio.ui.live_pictures import MOST_SHOTS, domains_picture, kind_of, shots_picture
from studio.ui.tabs import then_open
from studio.ui.topics import TOPICS, methods_of

FIRST = next(iter(TOPICS))
EVERY = "every"  # the methods of all topics
LATEX = [{"left": "$$", "right": "$$", "display": True}]


def build(shared: Any) -> None:
    with gr.Row():
        topic = gr.Dropdown(
            [*((word(f"topic.{name}"), name) for name in TOPICS), (word("learn.every"), EVERY)], value=FIRST,
            label=word("learn.topic"), scale=3, min_width=260, elem_id="learn-topic",
        )  # fmt: skip
        method = gr.Dropdown(
            method_choices(methods_of(FIRST)), value=methods_of(FIRST)[0], label=word("learn.method"),
            scale=4, min_width=260, elem_id="learn-method",
        )  # fmt: skip
        use = gr.Button(word("learn.use"), scale=1, min_width=160, elem_id="learn-use")
    with gr.Row():
        with gr.Column(min_width=300):
            page = gr.Markdown(piece("learn.first"), elem_id="learn-page", latex_delimiters=LATEX)
        with gr.Column(visible=False, elem_id="learn-live", min_width=300) as live:
            shots = gr.Slider(1, MOST_SHOTS, 1, step=1, label=word("learn.shots"), elem_id="learn-shots")
            strength = gr.Slider(0, 1, 0, step=0.05, label=word("learn.strength"), elem_id="learn-strength")
            drawn = gr.HTML(elem_id="learn-drawn", padding=False)

    def picture(name: str, count: float, share: float, language: str) -> str:
        kind = kind_of(name)
        if kind == "shots":
            return shots_picture(name, int(min(max(count, 1), MOST_SHOTS)), language)
        return domains_picture(name, min(max(share, 0.0), 1.0), language) if kind == "domains" else ""

    @guarded
    def open_page(name: str, count: float, share: float, request: gr.Request) -> Any:
        kind, drawing = kind_of(name), picture(name, count, share, language_of(request))
        sliders = (gr.Slider(visible=kind == "shots"), gr.Slider(visible=kind == "domains"))
        return lesson(name, language_of(request)), gr.Column(visible=bool(drawing)), *sliders, drawing

    @guarded
    def open_topic(name: str, request: gr.Request) -> Any:
        if name == EVERY:
            return gr.skip(), gr.Dropdown(method_choices(cls.id for cls in registry.methods())), gr.skip()
        methods = methods_of(name)
        choices = gr.Dropdown(method_choices(methods), value=methods[0])
        return topic_lesson(name, language_of(request)), choices, gr.Column(visible=False)

    @guarded
    def move(name: str, count: float, share: float, request: gr.Request) -> str:
        return picture(name, count, share, language_of(request))

    @guarded
    def try_it(sent: str, name: str, request: gr.Request) -> Any:
        presets = list(presets_of(name))
        screen = shared.form.of_preset(presets[0]) if presets else forms.read_screen(sent).with_method(name)
        return shared.form.fill(screen, language_of(request))

    latest = {"show_progress": "hidden", **LATEST}
    inputs, outputs = [method, shots, strength], [page, live, shots, strength, drawn]
    method.select(open_page, inputs, outputs, **latest)
    topic.select(open_topic, [topic], [page, method, live], **latest)
    gr.on([shots.change, strength.change], move, inputs, [drawn], **latest)
    tried = shared.form.filled_by(use.click, try_it, [shared.form.entry, method], shared.form.filled)
    then_open(tried, "train")
