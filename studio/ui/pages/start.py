"""Start: what do you want to do? Each card shows what comes out, fills the form and leads on."""

from typing import Any

import gradio as gr

from studio.ui.catalogue import language_of, piece
from studio.ui.form import SCREEN
from studio.ui.guard import guarded
from studio.ui.scripts import script
from studio.ui.start_cards import CARDS

CLICKED = """
element.addEventListener("click", (event) => {
  const card = event.target.closest("[data-card]");
  if (!card || event.detail > 1) return;  // a double click is one
  window.studioCard = card.dataset;
  trigger("chosen");
});
"""


def build(shared: Any) -> None:
    scripts = CLICKED + script("tabs.js")
    cards = gr.HTML(piece("start.cards"), js_on_load=scripts, elem_id="start", padding=False)

    @guarded
    def open_card(sent: str, name: str, request: gr.Request) -> list[Any]:
        preset, leads_to = CARDS.get(name, CARDS["demo"])
        before = sent if leads_to == "data" else ""  # photos given already are kept
        screen = shared.form.of_preset(preset, before)
        return shared.form.fill(screen, language_of(request))

    asked = f"(form) => [{SCREEN}, window.studioCard.card]"
    inputs = [shared.form.entry, cards]
    chosen = shared.form.filled_by(cards.chosen, open_card, inputs, shared.form.filled, read=asked)
    chosen.success(None, js="() => studioTab(studioCard.tab)", api_visibility="private")
