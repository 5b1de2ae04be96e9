"""Start: what do you want to do? Each card fills the form and leads on."""

from typing import Any

import gradio as gr

from studio.core import recipe as recipes
from studio.ui.catalogue import language_of, word
from studio.ui.form import READ
from studio.ui.guard import guarded

#: card -> (preset, tab it leads to)
CARDS = {
    "few": ("fewshot-photos", "data"),
    "train": ("small-data-cnn", "data"),
    "detect": ("detect-quick", "data"),
    "align": ("align-compare", "train"),
    "demo": ("quickstart", "train"),
}


def build(shared: Any) -> None:
    gr.Markdown(word("start.question"))
    known = recipes.presets(shared.actions.home)
    with gr.Row(equal_height=True, elem_id="start-cards"):
        for name, (preset, leads_to) in CARDS.items():
            if preset not in known:
                continue
            with gr.Column(elem_classes="card", min_width=230):
                gr.Markdown(word(f"start.{name}.text"))
                button = gr.Button(
                    word(f"start.{name}.button"),
                    elem_id=f"start-{name}",
                    variant="primary" if name == "demo" else "secondary",
                )
            outputs = [*shared.form.filled, shared.tabs]
            opened = _opener(shared, preset, leads_to)
            event = button.click(opened, [shared.form.entry], outputs, js=READ, api_visibility="private")
            shared.form.filled_by(event)
    gr.Markdown(word("start.how"))


def _opener(shared: Any, preset: str, leads_to: str) -> Any:
    @guarded
    def open_card(sent: str, request: gr.Request) -> list[Any]:
        before = sent if leads_to == "data" else ""  # photos given already are kept
        screen = shared.form.of_preset(preset, before)
        return [*shared.form.fill(screen, language_of(request)), gr.Tabs(selected=leads_to)]

    return open_card
