"""The model card that goes with an exported checkpoint."""

import json
import re
from typing import Any

from studio.core import registry
from studio.store.checkpoint import Manifest


def model_card(manifest: Manifest, library: str = "transfer-studio", use: str | None = None) -> str:
    """README.md in Markdown, with the front matter that model hubs read.

    `library` is what loads the files, `use` a Markdown text on how; by default those of our own form.
    """
    head = {"library_name": library, "tags": ["transfer-learning", manifest.method]}
    if tag := {task.name: task.hub_tag for task in registry.tasks()}.get(manifest.task):
        head["pipeline_tag"] = tag
    front = "\n".join(f"{key}: {json.dumps(value)}" for key, value in head.items())
    sections = [
        f"---\n{front}\n---",
        f"# {_text(manifest.title or manifest.id)}",
        f"Made by `{manifest.method}` (task `{manifest.task}`) on {manifest.created[:10]}"
        f" from backbone `{manifest.backbone.get('spec')}`.",
        "## Use",
        use or _own_use(manifest),
        f"## Classes ({len(manifest.classes)})",
        ", ".join(map(_text, manifest.classes[:200])) + (", ..." if len(manifest.classes) > 200 else ""),
        "## Numbers",
        _table("metric", manifest.metrics),
        "## Preprocessing",
        _table("step", manifest.preprocess),
        "## Where it comes from",
        _table("", manifest.lineage),
    ]
    return "\n\n".join(sections) + "\n"


def _own_use(manifest: Manifest) -> str:
    return (
        f"    python launch.py import FOLDER\n    python launch.py predict {manifest.id} photo.jpg\n\n"
        f"`model.safetensors` holds {len(manifest.tensors)} tensors, `manifest.json` what they are, "
        "`preprocessor.json` how an image becomes their input."
    )


def _table(what: str, values: dict[str, Any]) -> str:
    simple = {key: value for key, value in values.items() if not isinstance(value, dict)}
    if not simple:
        return "None."
    rows = [f"| {_text(key)} | {_text(_short(value))} |" for key, value in simple.items()]
    return "\n".join([f"| {what} | value |", "|---|---|", *rows])


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _text(value: str) -> str:
    """A class name is what someone typed: no Markdown or HTML of it takes effect."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|&~-])", r"\\\1", " ".join(str(value).split()))
