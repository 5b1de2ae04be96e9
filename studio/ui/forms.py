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
#: these stand elsewhere in the form
_ELSEWHERE = ("about", "task", "method", "params", "data.train", "eval.episodes_file", *SIMPLE)
#: every other key that some task has, in the order of a recipe
MORE = tuple(
    dict.fromkeys(
        key for section in ("", "model", "data", "train", "eval")
        for task in registry.tasks()
        for key in recipes.fields_of(task.name)
        if key.rpartition(".")[0] == section and key not in _ELSEWHERE
    )
)  # fmt: skip
#: fields that matter to some methods only
SOMETIMES = frozenset(("data.train", *SIMPLE, *MORE))


def field(key: str) -> Any:
    """The pydantic field of a dotted recipe key, of the first task that has it."""
    return next(fields[key] for task in registry.tasks() if key in (fields := recipes.fields_of(task.name)))


def relevant(method_id: str) -> set[str]:
    """The fields that a method's form shows: of those shown at once what it uses, of the others what its task has."""
    method = registry.get(method_id)
    known = recipes.fields_of(method.task)
    wanted = {"model.backbone", *method.uses}
    return {key for key in known if key in MORE or key in wanted}


def of_task(values: dict[str, Any]) -> dict[str, Any]:
    """The recipe so far without the keys that its task has not."""
    known = recipes.fields_of(values["task"])
    for section in ("data", "train", "eval"):
        for name in [name for name in values.get(section, {}) if f"{section}.{name}" not in known]:
            values = drop({**values, section: dict(values[section])}, f"{section}.{name}")
    return values


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
