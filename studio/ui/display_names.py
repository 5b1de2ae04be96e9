"""What a person knows a run or a checkpoint by: its method, its data, its score, when it was made."""

from datetime import datetime
from pathlib import PurePath
from typing import Any

from studio.ui.html import number

#: the score of a run, the first that it has, and what it is called
SCORES = {"accuracy": "accuracy", "target_accuracy": "accuracy", "map": "mAP", "miou": "mIoU", "rank1": "rank-1"}


def checkpoint(row: dict[str, Any], data_name: str) -> str:
    """`fcos · scenes · mAP 0.412 · 29 Nov 14:05 · fcos-97292b`, what is known of it."""
    method = str(row.get("method") or "").rpartition("/")[2]
    parts = (method, data_name, score(row.get("metrics") or {}), time(row.get("created")), row["checkpoint"])
    return "  ·  ".join(part for part in parts if part)


def score(metrics: dict[str, Any]) -> str:
    """The one number that tells runs of a kind apart, with its name; empty where there is none."""
    name = _score_name(metrics)
    return f"{SCORES[name]} {number(float(metrics[name]))}" if name else ""


def score_value(metrics: dict[str, Any]) -> float | None:
    """That number alone."""
    name = _score_name(metrics)
    return float(metrics[name]) if name else None


def data(recipe: dict[str, Any]) -> str:
    """The data of a recipe in a word or two: `photos.zip`, `digits`, `amazon to webcam`."""
    section = recipe.get("data") or {}
    names = [_last(str(section[key])) for key in ("train", "source", "target") if section.get(key)]
    return " → ".join(names)


def time(created: str | None) -> str:
    """`2026-11-29 14:05` of the machine's own clock, from ISO 8601."""
    try:
        return datetime.fromisoformat(str(created)).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return ""


def _score_name(metrics: dict[str, Any]) -> str | None:
    return next((name for name in SCORES if isinstance(metrics.get(name), (int, float))), None)


def _last(spec: str) -> str:
    scheme, _, rest = spec.partition(":")
    name = rest.partition("?")[0].rstrip("/\\")
    return name if scheme == "builtin" else PurePath(name.replace("\\", "/")).name or spec
