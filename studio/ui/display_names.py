"""What a person knows a run or a checkpoint by: its method, its data, its score, when it was made."""

import re
from datetime import datetime
from pathlib import PurePath
from typing import Any

from studio.core import registry
from studio.core.errors import UsageError
from studio.ui.catalogue import words
from studio.ui.html import number


def checkpoint(row: dict[str, Any], data_name: str, language: str = "en") -> str:
    """`mine · fcos · scenes · mAP 0.412 · 29 Nov 14:05 · fcos-97292b`: its tags, and what is known of it."""
    method = str(row.get("method") or "").rpartition("/")[2]
    parts = (
        *(row.get("tags") or ()),
        method,
        data_name,
        score(row, language),
        time(row.get("created")),
        row["checkpoint"],
    )
    return "  ·  ".join(part for part in parts if part)


def score(row: dict[str, Any], language: str = "en") -> str:
    """The one number that tells runs of a task apart, with what it is called; empty where there is none.

    `row` has what a run or a checkpoint is listed with: `task`, `metrics`.
    """
    value = score_value(row)
    if value is None:
        return ""
    title = words(language)[f"metric.{row['task']}.{_score_name(row)}"]
    return f"{_short(title)} {number(value)}"


def score_value(row: dict[str, Any]) -> float | None:
    """That number alone."""
    value = (row.get("metrics") or {}).get(_score_name(row))
    return float(value) if isinstance(value, (int, float)) else None


def data(recipe: dict[str, Any]) -> str:
    """The data of a recipe in a word or two: `photos.zip`, `digits`, `amazon to webcam`."""
    section = recipe.get("data") or {}
    names = [_last(str(section[key])) for key in ("train", "source", "target") if section.get(key)]
    return " → ".join(names)


def figure(name: str, language: str) -> str:
    """What a figure is called: its kind in the visitor's language, then what tells it from others of its kind."""
    kinds = words("zh-figures") if language == "zh" else {}
    kind = max((kind for kind in kinds if re.match(rf"{kind}\b", name)), key=len, default="")
    return kinds.get(kind, "") + name.removeprefix(kind)


def curve(name: str, task: str, language: str) -> str:
    """What a curve is called: `mAP at IoU 0.5 · validation` for `val/map_50`, behind what tells several apart."""
    parts = re.fullmatch(r"(?P<front>(?:.+/)?)(?P<part>train|val)/(?P<number>.+)", name)
    if parts is None:
        return name.replace("_", " ")
    known, number = words(language), parts["number"]
    title = known.get(f"metric.{task}.{number}") or known.get(f"curve.{number}") or number.replace("_", " ")
    return f"{parts['front']}{_short(title)} · {known['curve.' + parts['part']]}"


def time(created: str | None) -> str:
    """`2026-11-29 14:05` of the machine's own clock, from ISO 8601."""
    try:
        return datetime.fromisoformat(str(created)).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return ""


def _score_name(row: dict[str, Any]) -> str | None:
    """The first headline of the row's task that it has."""
    try:
        headlines = registry.task_named(row.get("task") or "").headlines
    except UsageError:  # a run of a task that is no longer here
        return None
    return next((name for name in headlines if (row.get("metrics") or {}).get(name) is not None), None)


def _short(title: str) -> str:
    """What a number is called, without what explains it."""
    return re.split(" ?[(（]", title)[0]


def _last(spec: str) -> str:
    scheme, _, rest = spec.partition(":")
    name = rest.partition("?")[0].rstrip("/\\")
    return name if scheme == "builtin" else PurePath(name.replace("\\", "/")).name or spec
