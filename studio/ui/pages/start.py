"""Start: what do you want to do? Each card fills the recipe and leads on."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from studio.core import recipe as recipes
from studio.ui.catalogue import word
from studio.ui.guard import guarded

#: card -> (preset, tab it leads to)
CARDS = {
    "few": ("fewshot-photos", "data"),
    "train": ("small-data-cnn", "data"),
    "align": ("align-compare", "train"),
    "demo": ("quickstart", "train"),
}


@dataclass
class Card:
    button: gr.Button
    preset: str
    leads_to: str


def build(shared: Any) -> list[Card]:
    gr.Markdown(word("start.question"))
    known = recipes.presets(shared.desk.home)
    cards = []
    with gr.Row(equal_height=True):
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
            cards.append(Card(button, preset, leads_to))
    gr.Markdown(word("start.how"))
    return cards


def connect(shared: Any, cards: list[Card], filled: list[Any]) -> None:
    """Ties the cards to the recipe that the train tab shows; `filled` are that tab's fields."""
    from studio.ui.pages.train import refill

    for card in cards:
        opened = _opener(shared, card)
        card.button.click(opened, [shared.recipe], [shared.recipe, shared.tabs], api_visibility="private").then(
            refill, [shared.recipe], filled, show_progress="hidden", api_visibility="private"
        )


def _opener(shared: Any, card: Card) -> Any:
    @guarded
    def open_card(values: dict[str, Any]) -> tuple[dict[str, Any], Any]:
        chosen = recipes.read_yaml(recipes.find_preset(card.preset, shared.desk.home))
        data = (values or {}).get("data", {}).get("train", "")
        if card.leads_to == "data" and data and not data.startswith("builtin:"):
            recipes.override(chosen, {"data.train": data})  # photos given already are kept
        return chosen, gr.Tabs(selected=card.leads_to)

    return open_card
