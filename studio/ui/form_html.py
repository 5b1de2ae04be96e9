"""Draws the form of a recipe; every text that comes from outside is escaped here."""

import re
import secrets
from html import escape
from typing import Any

from studio.core import recipe as recipes
from studio.core import registry
from studio.core.own_data import FITTED
from studio.core.rights import LOCAL, Rights
from studio.ui import forms
from studio.ui.catalogue import care, say, translated, words
from studio.ui.forms import Screen


def drawn(screen: Screen, language: str, rights: Rights = LOCAL) -> dict[str, Any]:
    """What the browser is given: the form as HTML, and what it says, for as long as its tab was never opened."""
    said = {"method": screen.method, "preset": screen.preset, "texts": screen.texts}
    return {"html": draw(screen, language, rights), "screen": said}


def draw(screen: Screen, language: str, rights: Rights = LOCAL) -> str:
    """The whole form, naming the backbones that one who asks may know of.

    It is never the same text twice, so that the browser always draws it anew.
    """
    simple, more, own = forms.keys(screen)
    about = str(screen.texts.get("about", ""))
    return (
        f"<form id='recipe-form' autocomplete='off' data-stamp='{secrets.token_hex(4)}' {_facts(screen)}><fieldset>"
        f"<p id='recipe-about'>{escape(translated(about, language))}</p>{_hidden('about', about)}"
        f"{_care(screen, language)}"
        f"<div class='fields'>{_fields(simple, screen, language)}</div>"
        f"{_folded('train-more', say('train.more', language), _fields(more, screen, language))}"
        f"{_folded('train-params', say('train.params', language), _fields(own, screen, language) or _none(language))}"
        f"</fieldset>{_backbones(rights)}</form>"
    )


def _facts(screen: Screen) -> str:
    return f"data-method='{escape(screen.method)}' data-preset='{escape(screen.preset)}'"


def _care(screen: Screen, language: str) -> str:
    """What the task of a form may not be used for."""
    text = care(registry.get(screen.method).task, language)
    return f"<p class='care'>{escape(text)}</p>" if text else ""


def _hidden(key: str, text: str) -> str:
    return f"<input type='hidden' data-key='{key}' value='{escape(text)}'>" if text else ""


def _folded(name: str, title: str, body: str) -> str:
    return f"<details id='{name}'><summary>{escape(title)}</summary><div class='fields'>{body}</div></details>"


def _none(language: str) -> str:
    return f"<p>{escape(say('train.no_params', language))}</p>"


def _fields(keys: list[str], screen: Screen, language: str) -> str:
    return "".join(_field(key, screen, language) for key in keys)


def _field(key: str, screen: Screen, language: str) -> str:
    """One field: its name, its input, a line of help."""
    described = forms.field_of(key, screen.method)
    text = screen.texts.get(key, forms.to_text(forms.default_of(key, screen.method)))
    name = key.replace("params.", "param-", 1) if key.startswith("params.") else "field-" + key.replace(".", "-")
    entry = _input(key, name, described.annotation, text, screen.method)
    label = f"<label for='in-{name}'>{escape(_label(key, language))}</label>"
    tick = described.annotation is bool
    return (
        f"<div class='field{' tick' if tick else ''}' id='{name}'>{entry + label if tick else label + entry}"
        f"<small id='help-{name}'>{_coded(_help(key, described.description or '', language))}</small></div>"
    )


def _input(key: str, name: str, annotation: Any, text: str | bool, method: str) -> str:
    """The input for a field by its type: a choice, a tick, or a text that numbers are written into too."""
    facts = f"id='in-{name}' data-key='{escape(key)}' aria-describedby='help-{name}'{_fitted(key, method)}"
    if annotation is bool:
        return f"<input type='checkbox' {facts}{' checked' if text in (True, 'True', 'true') else ''}>"
    options = [forms.to_text(choice) for choice in forms.choices(annotation)]
    if options:
        listed = "".join(
            f"<option{' selected' if option == text else ''}>{escape(str(option))}</option>" for option in options
        )
        return f"<select {facts}>{listed}</select>"
    mode = " inputmode='decimal'" if recipes.members_of(annotation) & {int, float} else ""
    source = " list='known-backbones'" if key == "model.backbone" else ""
    return f"<input type='text' spellcheck='false' {facts}{mode}{source} value='{escape(str(text))}'>"


def _fitted(key: str, method: str) -> str:
    """Where a preset's value is for its built-in data alone, what stands there instead once other data are named."""
    minutes = registry.task_named(registry.get(method).task).own_minutes
    if key == "train.minutes" and minutes:
        return f" data-own='{forms.to_text(minutes)}' data-own-of='data.train'"
    return f" data-own='{escape(str(forms.to_text(forms.default_of(key, method))))}'" if key in FITTED else ""


def _label(key: str, language: str) -> str:
    return words(language).get(f"label.{key}", key.removeprefix("params."))


def _help(key: str, description: str, language: str) -> str:
    """A field's own help; where tasks share a key, each has words of its own."""
    shared = words("en").get(f"field.{key}") == description and words(language).get(f"field.{key}")
    return shared or translated(description, language)


def _coded(text: str) -> str:
    """A text with backquotes around what is typed, as HTML."""
    return re.sub("`(.+?)`", r"<code>\1</code>", escape(text))


def _backbones(rights: Rights) -> str:
    names = [row["name"] for row in registry.backbones(rights) if row.get("usable")]
    return "<datalist id='known-backbones'>" + "".join(f"<option value='{escape(n)}'>" for n in names) + "</datalist>"
