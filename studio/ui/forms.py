"""Forms made from the recipe's own fields: nobody writes a field twice.

A field's label and hint come from the catalogue by its key; a method's own parameters show their name and
description. A change is written into one dictionary, the recipe as far as it was filled in.
"""

from typing import Any, Literal, get_args, get_origin

import gradio as gr

from studio.core import recipe as recipes
from studio.core import registry
from studio.ui.catalogue import translated, word, words

SIMPLE = ("model.backbone", "data.source", "data.target", "train.epochs", "train.lr", "eval.ways", "eval.shots")
#: of the fields shown at once, those that matter to some kinds of method only
SOMETIMES = {
    "data.train": {"classify", "rank", "Detector", "Comparison"},
    "data.source": {"align", "AdaptingDetector"},
    "data.target": {"align", "AdaptingDetector"},
    "train.epochs": {"Learner", "Detector", "AdaptingDetector", "Comparison"},
    "train.lr": {"Learner", "Detector", "AdaptingDetector", "Comparison"},
    "eval.ways": {"EpisodeHead"},
    "eval.shots": {"EpisodeHead"},
}
MORE = (
    "name", "model.image_size", "model.checkpoint", "data.val", "data.test", "data.shots",
    "train.batch_size", "train.optimizer", "train.weight_decay", "train.seed", "train.precision", "train.clip",
    "train.augment", "train.crop", "train.erasing", "train.mixup", "train.cutmix", "train.mosaic", "train.copy_paste",
    "train.multi_scale", "train.balanced", "train.ema", "train.patience",
    "train.folds", "train.micro_batch", "train.compile", "train.processes", "train.max_steps",
    "train.workers", "train.checkpoint_every_s", "eval.selection", "eval.queries", "eval.episodes", "eval.mirror",
    "eval.scales", "eval.ensemble", "eval.fusion", "eval.overlap", "device",
)  # fmt: skip


def field(key: str) -> Any:
    """The pydantic field of a dotted recipe key."""
    model: Any = recipes.Recipe
    *parents, last = key.split(".")
    for parent in parents:
        model = model.model_fields[parent].annotation
    return model.model_fields[last]


def relevant(method_id: str) -> set[str]:
    """The fields of SOMETIMES that matter to a method, by its task and face."""
    facts = registry.describe(registry.get(method_id))
    return {key for key, kinds in SOMETIMES.items() if kinds & {facts["task"], facts["face"]}}


def is_number(key: str) -> bool:
    return bool(recipes.members_of(field(key).annotation) & {int, float})


def default(key: str) -> Any:
    return field(key).get_default(call_default_factory=True)


def hint(key: str, description: str | None) -> Any:
    """The line of help under a field, translated where the catalogue has it."""
    name = f"field.{key}"
    return word(name) if name in words("en") else (description or "")


def label(key: str) -> Any:
    """The name of a field in the visitor's language, its key where the catalogue has none."""
    name = f"label.{key}"
    return word(name) if name in words("en") else key


def component(key: str, info: Any, annotation: Any, value: Any, elem_id: str) -> Any:
    """The input for one field by its type: a choice, a tick, a number or a text."""
    common = {"label": label(key), "info": info, "elem_id": elem_id, "min_width": 180}
    members = recipes.members_of(annotation)
    choices = _choices(annotation)
    if choices:
        return gr.Dropdown(choices, value=value, **common)
    if bool in members:
        return gr.Checkbox(value=bool(value), **common)
    if int in members and float not in members:
        return gr.Number(value=value, precision=0, **common)
    if float in members:
        return gr.Number(value=value, **common)
    return gr.Textbox(value="" if value is None else str(value), max_lines=1, **common)


def recipe_field(key: str) -> Any:
    """The input for a recipe key."""
    described = field(key)
    return component(
        key, hint(key, described.description), described.annotation, default(key), "field-" + key.replace(".", "-")
    )


def params_form(method: str, values: dict[str, Any], language: str = "en") -> dict[str, Any]:
    """Inputs for a method's own parameters, by name, filled with `values` where given; help in `language`."""
    fields = registry.get(method).Params.model_fields
    return {
        name: component(
            name, translated(item.description or "", language), item.annotation,
            values.get(name, item.default), f"param-{name}",
        )
        for name, item in fields.items()
    }  # fmt: skip


def put(values: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """The recipe so far with one more key set; a value equal to the default is left out."""
    changed = {name: dict(part) if isinstance(part, dict) else part for name, part in values.items()}
    if value == "" and not key.startswith("params."):
        value = None
    if not key.startswith("params.") and value == default(key):
        return drop(changed, key)
    recipes.override(changed, {key: value})
    return changed


def drop(values: dict[str, Any], key: str) -> dict[str, Any]:
    section, _, name = key.rpartition(".")
    part = values.get(section, {}) if section else values
    part.pop(name, None)
    if section and not part:
        values.pop(section, None)
    return values


def value_of(values: dict[str, Any], key: str) -> Any:
    """The value of a dotted key, or its default."""
    section, _, name = key.rpartition(".")
    part = values.get(section, {}) if section else values
    return part.get(name, default(key))


def _choices(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return []
