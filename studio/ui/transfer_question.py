"""Should I transfer at all? What can be asked of the data in a form before anything is trained on them."""

from typing import Any

from studio.core import recipe as recipes
from studio.core import registry
from studio.core.errors import UsageError
from studio.ui import forms
from studio.ui.forms import Screen

#: the presets that answer it, by the data that they compare: two domains, or backbones on one
PRESETS = (("rank-gap", ("source", "target")), ("rank-backbones", ("train",)))


def question(screen: Screen) -> dict[str, Any]:
    """The recipe that measures how far the form's domains are apart, or which backbone suits its data.

    Raises UsageError where the form names no data that can be asked about.
    """
    task = registry.task_named(registry.get(screen.method).task)
    texts = {key: str(text).strip() for key, text in screen.texts.items()}
    for preset, names in PRESETS:
        data = {f"data.{name}": texts.get(f"data.{name}", "") for name in names}
        if task.truth == "labels" and all(data.values()):
            values = recipes.read_yaml(recipes.find_preset(preset))
            recipes.override(values, {**data, **_seen_with(screen, preset)})
            return values
    raise UsageError(
        f"Whether to transfer is asked of images with classes: data.source and data.target, or data.train. The form "
        f"is of task {task.name}, with " + (", ".join(key for key in texts if key.startswith("data.")) or "no data")
        + "."
    )  # fmt: skip


def _seen_with(screen: Screen, preset: str) -> dict[str, Any]:
    """How the form looks at images: at which size, and for a gap through which backbone."""
    keys = ("model.image_size", "model.backbone") if preset == "rank-gap" else ("model.image_size",)
    given = {key: screen.texts[key] for key in keys if screen.texts.get(key)}
    return {key: forms.from_text(forms.annotation_of(key, screen.method), text) for key, text in given.items()}
