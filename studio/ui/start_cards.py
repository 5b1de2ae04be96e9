"""The cards of Start as one piece of HTML, with all its words in one language.

One component in place of fifty: what a page takes to open grows with its components times its events.
"""

import re
from html import escape
from pathlib import Path

from studio.ui.catalogue import say

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
_DRAWINGS = Path(__file__).parent / "cards"


def cards(language: str) -> str:
    """The question, a card for each goal with its drawing and its button, and how it goes on from there."""
    drawn = "".join(_card(name, language) for name in CARDS)
    question, how = say("start.question", language), _strong(say("start.how", language))
    return f"<h2>{escape(question)}</h2><div id='start-cards'>{drawn}</div><p>{how}</p>"


def _card(name: str, language: str) -> str:
    leads_to = CARDS[name][1]
    title, text, button = (escape(say(f"start.{name}.{part}", language)) for part in ("title", "text", "button"))
    drawing = (_DRAWINGS / f"{name}.svg").read_text(encoding="utf-8")
    kind = "strong" if name == "demo" else ""
    return (
        f"<section class='card'>{drawing}<h3>{title}</h3><p>{text}</p>"
        f"<button type='button' id='start-{name}' class='{kind}' data-card='{name}' data-tab='{leads_to}'>"
        f"{button}</button></section>"
    )


def _strong(text: str) -> str:
    """A text with `**` around what is strong and `*` around what is slanted, as HTML."""
    text = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", escape(text))
    return re.sub(r"\*(.+?)\*", r"<i>\1</i>", text)
