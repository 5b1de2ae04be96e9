"""The words of the page: `words/en.json` and `words/zh.json`, the same keys in both but for the help of fields.

A recipe key's English help is its field's own, under `field.KEY`, a tool's words are its own, under `tool.NAME`, and so
are a task's headlines, under `metric.TASK.NAME`, what it may not be used for, `care.TASK`, and the titles of rules,
under `labelling.rule.NAME`; `words/zh.json` has them in Chinese. What methods, presets and runs say in English is
written once, where they are; by these texts `words/zh-params.json` has the help of parameters in Chinese,
`zh-abouts.json` what tasks, methods and presets are, `zh-titles.json` what methods are called, `zh-tables.json` the
words of tables, `zh-figures.json` the names of figures, and as patterns `zh-checks.json` what a report says of data,
`zh-runs.json` what runs say as they go and `zh-errors.json` the sentences of errors.

Fixed words are translated in the browser (`word`); words made on the server, such as a status with
a number in it, are looked up by the visitor's language (`say`).
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import gradio as gr
from gradio.context import LocalContext
from gradio.i18n import I18nData

from studio.core import recipe as recipes
from studio.core import registry
from studio.runs.tools import tools

LANGUAGES = ("en", "zh")
_FOLDER = Path(__file__).parent / "words"


@cache
def words(language: str) -> dict[str, str]:
    """All words of one language by key."""
    written = json.loads((_FOLDER / f"{language}.json").read_text(encoding="utf-8"))
    if language not in LANGUAGES:
        return written
    fields = _fields() if language == "en" else {}
    return {**fields, **_tools(), **_headlines(), **_cares(), **_rules(), **_methods(language), **written}


def _fields() -> dict[str, str]:
    """The help of every recipe key, as its field has it; where tasks share a key, that of the first."""
    return {
        f"field.{key}": field.description
        for task in reversed(registry.tasks())
        for key, field in recipes.fields_of(task.name).items()
        if field.description
    }


def _tools() -> dict[str, str]:
    """What tools are called and what their inputs are, as the tools say it in English."""
    texts = {}
    for tool in tools():
        texts |= {f"tool.{tool.name}": tool.title, f"tool.{tool.name}.about": tool.about}
        texts |= {f"tool.{tool.name}.{key}": info.description or key for key, info in tool.Inputs.model_fields.items()}
    return texts


def _headlines() -> dict[str, str]:
    """What the metrics are that a task's runs show in large type."""
    return {f"metric.{task.name}.{name}": text for task in registry.tasks() for name, text in task.headlines.items()}


def _cares() -> dict[str, str]:
    """What tasks may not be used for."""
    return {f"care.{task.name}": task.care for task in registry.tasks() if task.care}


def care(task: str, language: str) -> str:
    """What a task may not be used for, where it says so."""
    return words(language).get(f"care.{task}", "")


def _rules() -> dict[str, str]:
    """What the rules are called that choose which image is labelled next."""
    return {f"labelling.rule.{rule.name}": rule.title for rule in registry.rules()}


def _methods(language: str) -> dict[str, str]:
    """What methods are called in lists: an id, and what it stands for."""
    titles = {cls.id: translated(cls.title, language) for cls in registry.methods()}
    return {f"method.{one}": f"{one}  ·  {title}" if title else one for one, title in titles.items()}


def method_choices(ids: Iterable[str]) -> list[tuple[Any, str]]:
    """Methods as a list offers them: what each is called, and its id."""
    return [(word(f"method.{one}"), one) for one in ids]


def translations(composed: Mapping[str, Callable[[str], str]] = MappingProxyType({})) -> gr.I18n:
    """The catalogue for the browser, which takes `zh` for every kind of Chinese.

    `composed` are whole pieces of the page by key, each made for a language; the page names them with `piece`.
    """
    return gr.I18n(
        **{
            language: {**words(language), **{key: make(language) for key, make in composed.items()}}
            for language in LANGUAGES
        }
    )


def word(key: str) -> Any:
    """A fixed word, translated in the browser. Raises KeyError for a key that isn't in the catalogue."""
    words("en")[key]
    return I18nData(key)


def piece(key: str) -> Any:
    """A whole piece of the page that `translations` was given under this key."""
    return I18nData(key)


def language_of(request: gr.Request | None) -> str:
    """The visitor's language, as the browser says; English where it is none of ours."""
    header = request.headers.get("accept-language", "") if request is not None else ""
    return "zh" if header.strip().lower().startswith("zh") else "en"


def language_asked() -> str:
    """Of whoever's request is being answered; English where none is."""
    return language_of(LocalContext.request.get(None))


def translated(text: str, language: str) -> str:
    """What a method, a preset or a table says, in a language; as it is where it has not been translated yet."""
    return _chinese().get(text, text) if language == "zh" else text


def explained(message: str, language: str) -> str:
    """What a run or an error says in a language: known sentences with what they name, others as they are."""
    if language != "zh":
        return message
    for pattern, chinese in _sentences():
        message = pattern.sub(chinese, message)
    return message


@cache
def _chinese() -> dict[str, str]:
    return {**words("zh-params"), **words("zh-abouts"), **words("zh-titles"), **words("zh-tables")}


@cache
def _sentences() -> list[tuple[re.Pattern[str], str]]:
    files = [_FOLDER / f"zh-{kind}.json" for kind in ("checks", "runs", "errors")]
    pairs = [pair for file in files for pair in json.loads(file.read_text(encoding="utf-8"))]
    return [(re.compile(pattern), chinese) for pattern, chinese in pairs]


def say(key: str, language: str, **values: Any) -> str:
    """A word made on the server, with values filled in."""
    return words(language)[key].format(**values)
