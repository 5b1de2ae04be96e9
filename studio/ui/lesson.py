"""A method or a topic as a page to learn from.

A method's is its own: docstring, `formula`, `paper`, `Params` and presets. The first paragraph of a docstring says what
it is; what follows says when it holds and where it differs from its paper. A topic's says what its methods share.
"""

import re
from typing import Any
from urllib.parse import quote

from studio.core import recipe as recipes
from studio.core import registry
from studio.ui.catalogue import say, translated
from studio.ui.topics import TOPICS, methods_of

_MARKS = re.compile(r"([\\*_<>\[\]|#$])")
_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")


def lesson(method: str, language: str) -> str:
    """The page in Markdown; formulas stand between two dollars. Raises UsageError for a method that is none."""
    facts = registry.describe(registry.get(method))
    what, *details = re.split(r"\n\s*\n", facts["about"])
    title = facts["title"] or method
    parts = [f"## {_plain(title, language)}", _kind(facts, language), _plain(_line(what), language)]
    if facts["formula"]:
        parts += [_head("formula", language), f"$$\n{facts['formula']}\n$$"]
    if details:
        parts += [_head("details", language), *(_plain(_line(paragraph), language) for paragraph in details)]
    if facts["paper"]:
        parts += [_head("paper", language), f"[{_plain(facts['paper'])}]({paper_link(facts['paper'])})"]
    parts += _params(facts["params"], language)
    return "\n\n".join([*parts, *_presets(presets_of(method), language)])


def topic_lesson(topic: str, language: str) -> str:
    """The page of a topic in Markdown: what it is, when it works and fails, its methods and the presets to try."""
    ids = methods_of(topic)
    methods = [registry.describe(registry.get(method)) for method in ids]
    parts = [f"## {say(f'topic.{topic}', language)}", say(f"topic.{topic}.about", language)]
    for name in ("works", "fails"):
        parts += [_head(name, language), say(f"topic.{topic}.{name}", language)]
    lines = [
        f"- **{_plain(facts['title'], language)}** (`{facts['id']}`): {_first(facts, language)}" for facts in methods
    ]
    parts += [_head("methods", language), "\n".join(lines)]
    return "\n\n".join([*parts, *_presets(presets_of(*ids), language)])


def first_lesson(language: str) -> str:
    """What Learn shows as it opens: its first topic."""
    return topic_lesson(next(iter(TOPICS)), language)


def presets_of(*methods: str) -> dict[str, str]:
    """The shipped presets that use one of these methods, with what each shows."""
    return {row["name"]: row["about"] for row in recipes.list_presets() if row["method"] in methods}


def paper_link(paper: str) -> str:
    """Where a paper is found: at arXiv where its number is known, else by a search for its title."""
    number = _ARXIV.search(paper)
    return f"https://arxiv.org/abs/{number[1]}" if number else f"https://scholar.google.com/scholar?q={quote(paper)}"


def _first(facts: dict[str, Any], language: str) -> str:
    """What a method is: the first paragraph of its docstring."""
    return _plain(_line(re.split(r"\n\s*\n", facts["about"])[0]), language)


def _kind(facts: dict[str, Any], language: str) -> str:
    """Its id, its task, and what it is given to do."""
    task = translated(registry.task_named(facts["task"]).title, language)
    kind = say(f"learn.face.{facts['face']}", language)
    also = say("learn.transductive", language) if facts["transductive"] else ""
    return f"`{facts['id']}` · {task} · {kind}{also}"


def _params(params: list[dict[str, Any]], language: str) -> list[str]:
    if not params:
        return [_head("params", language), say("train.no_params", language)]
    rows = [
        f"| `{field['name']}` | `{field['default']}` | {_limits(field)} | {_plain(field['help'], language)} |"
        for field in params
    ]
    heads = " | ".join(say(f"learn.param.{name}", language) for name in ("name", "default", "range", "help"))
    return [_head("params", language), "\n".join([f"| {heads} |", "|---|---|---|---|", *rows])]


def _presets(presets: dict[str, str], language: str) -> list[str]:
    """Names of presets with what each shows, under a head; nothing where there are none."""
    lines = [f"- **{name}**: {_plain(about, language)}" for name, about in presets.items()]
    return [_head("presets", language), "\n".join(lines)] if lines else []


def _limits(field: dict[str, Any]) -> str:
    if field["choices"]:
        return ", ".join(f"`{choice}`" for choice in field["choices"])
    signs = {"ge": "≥", "gt": "\\>", "le": "≤", "lt": "\\<"}
    return ", ".join(f"{signs[key]} {value:g}" for key, value in field["range"].items())


def _head(name: str, language: str) -> str:
    return f"### {say(f'learn.{name}', language)}"


def _line(paragraph: str) -> str:
    return " ".join(paragraph.split())


def _plain(text: str, language: str = "en") -> str:
    """A text whose signs are no Markdown, but for what stands in backticks."""
    pieces = translated(text, language).split("`")
    return "`".join(piece if place % 2 else _MARKS.sub(r"\\\1", piece) for place, piece in enumerate(pieces))
