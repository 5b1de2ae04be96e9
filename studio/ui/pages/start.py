"""Start: what do you want to do? Each card shows what comes out, fills the form and leads on."""

from pathlib import Path
from typing import Any

import gradio as gr

from studio.core import recipe as recipes
from studio.ui.catalogue import language_of, word
from studio.ui.form import READ
from studio.ui.guard import guarded

#: card -> (preset, tab it leads to); its drawing is `cards/NAME.svg`
CARDS = {
    "demo": ("quickstart", "train"),
    "tuned": ("quickstart-tuned", "train"),
    "few": ("fewshot-photos", "data"),
    "label": ("fewshot-photos", "label"),
    "train": ("small-data-cnn", "data"),
    "detect": ("detect-quick", "data"),
    "segment": ("segment-quick", "data"),
    "align": ("align-compare", "train"),
    "translate": ("ir-to-visible", "train"),
    "reid": ("reid-quick", "data"),
    "compare": ("compare-heads", "train"),
    "gap": ("rank-gap", "train"),
}
_DRAWINGS = Path(__file__).parents[1] / "cards"


def build(shared: Any) -> None:
    gr.Markdown(word("start.question"))
    known = recipes.presets(shared.actions.home)
    with gr.Row(equal_height=True, elem_id="start-cards"):
        for name, (preset, leads_to) in CARDS.items():
            if preset not in known:
                continue
            with gr.Column(elem_classes="card", min_width=230):
                gr.HTML((_DRAWINGS / f"{name}.svg").read_text(encoding="utf-8"), padding=False)
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
