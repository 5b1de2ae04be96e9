"""The form of a recipe: which fields it shows, the text in each, and the recipe that these texts say.

A `Screen` is what stands in the form. It is made from a recipe, drawn by `form_html`, edited in the browser, sent
back whole, and read into a recipe: no second copy of it exists that could say something else.
"""

import json
import math
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin

import yaml

from studio.core import recipe as recipes
from studio.core import registry
from studio.core.errors import StudioError, UsageError
from studio.core.recipe import Recipe

#: the fields shown at once, of those that a method uses; what else its task has is under all settings
SIMPLE = (
    "data.train", "model.backbone", "data.source", "data.target", "train.epochs", "train.minutes", "train.lr",
    "eval.ways", "eval.shots",
)  # fmt: skip
_ELSEWHERE = ("about", "task", "method", "params", *SIMPLE)
DEFAULT_METHOD = Recipe.model_fields["method"].default


@dataclass
class Screen:
    """What stands in the form: a text for each field by its dotted key, ticks as True or False."""

    method: str = DEFAULT_METHOD
    preset: str = ""
    texts: dict[str, str | bool] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)  # what the boxes above the form show: preset, method

    def with_method(self, method: str) -> "Screen":
        """The same fields for another method, whose own parameters stand at their defaults."""
        known = recipes.fields_of(registry.get(method).task)
        kept = {key: text for key, text in self.texts.items() if key in known}
        return Screen(method, self.preset, kept)


def screen_of(values: dict[str, Any], preset: str = "") -> Screen:
    """The form of a recipe as plain data."""
    return Screen(values.get("method") or DEFAULT_METHOD, preset, {k: to_text(v) for k, v in _flat(values).items()})


def read_screen(sent: str) -> Screen:
    """The form as the browser sends it. Raises UsageError where that is no form."""
    try:
        said = json.loads(sent or "{}")
        texts = {str(key): text if isinstance(text, bool) else str(text) for key, text in said["texts"].items()}
        shown = {str(key): str(text) for key, text in said.get("shown", {}).items()}
        screen = Screen(str(said["method"]), str(said.get("preset", "")), texts, shown)
        registry.get(screen.method)
    except (ValueError, KeyError, AttributeError, TypeError):
        raise UsageError("The form is not filled in yet; choose a preset or reload the page.") from None
    return screen


def values_of(screen: Screen) -> dict[str, Any]:
    """The recipe that the form says, as plain data: only what differs from the defaults, nothing judged yet."""
    values: dict[str, Any] = {"task": registry.get(screen.method).task, "method": screen.method}
    for key, text in screen.texts.items():
        value = from_text(annotation_of(key, screen.method), text)
        if value != default_of(key, screen.method):
            section, _, name = key.rpartition(".")
            (values.setdefault(section, {}) if section else values)[name] = value
    return values


def check_filed(screen: Screen, recipe: Recipe) -> None:
    """Raises UsageError where a recipe about to be run differs from what the form shows."""
    filed = {**_flat(recipe.model_dump()), **{f"params.{k}": v for k, v in recipe.method_params()}}
    for key, text in screen.texts.items():
        said = from_text(annotation_of(key, screen.method), text)
        if key in filed and not _same(said, filed[key]):
            raise UsageError(f"{key}: the form shows {text!r}, and {filed[key]!r} would run. Nothing was started.")


def keys(screen: Screen) -> tuple[list[str], list[str], list[str]]:
    """The fields that a form shows: at once, under all settings, and the method's own.

    A field that says something other than its default is always among them.
    """
    method = registry.get(screen.method)
    known = recipes.fields_of(method.task)

    def matters(key: str) -> bool:
        if key in ("model.backbone", *method.uses) or (key == "train.minutes" and "train.epochs" in method.uses):
            return True
        return screen.texts.get(key, "") not in ("", False, to_text(default_of(key, screen.method)))

    simple = [key for key in SIMPLE if key in known and matters(key)]
    more = [key for key in known if key not in _ELSEWHERE]
    return simple, more, [f"params.{name}" for name in method.Params.model_fields]


def field_of(key: str, method: str = DEFAULT_METHOD) -> Any:
    """The pydantic field of a dotted recipe key; `params.x` is looked up in the method's own parameters."""
    section, _, name = key.partition(".")
    cls = registry.get(method)
    return cls.Params.model_fields[name] if section == "params" else recipes.fields_of(cls.task)[key]


def annotation_of(key: str, method: str) -> Any:
    """The type of a key. Raises UsageError for a key that neither recipe nor method have."""
    try:
        return field_of(key, method).annotation
    except KeyError:
        raise UsageError(f"{key}: {method} has no such field; reload the page.") from None


def default_of(key: str, method: str = DEFAULT_METHOD) -> Any:
    return field_of(key, method).get_default(call_default_factory=True)


def value_of(values: dict[str, Any], key: str) -> Any:
    """The value of a dotted key in a recipe as plain data, or its default."""
    section, _, name = key.rpartition(".")
    part = values.get(section) or {} if section else values
    return part.get(name, default_of(key, values.get("method") or DEFAULT_METHOD))


def choices(annotation: Any) -> list[Any]:
    """The values of a Literal, None among them where it is optional; empty for any other type."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    inner = [choices(item) for item in get_args(annotation) if get_origin(item) is Literal]
    return [None, *inner[0]] if inner else []


def to_text(value: Any) -> str | bool:
    """A value as the form shows it: lists by commas, mappings as one line of YAML, nothing as an empty text."""
    if value is None or isinstance(value, bool):
        return value if isinstance(value, bool) else ""
    if isinstance(value, (list, tuple)) and all(isinstance(item, (str, int, float)) for item in value):
        return ", ".join(map(str, value))
    if isinstance(value, (dict, list, tuple)):
        return yaml.safe_dump(value, default_flow_style=True, width=math.inf).strip() if value else ""
    return str(value)


def from_text(annotation: Any, text: str | bool) -> Any:
    """The value that a text says in a field of a type; the text itself where it says none, for pydantic to refuse."""
    if isinstance(text, bool):
        return text
    text, kinds = text.strip(), recipes.members_of(annotation)
    for choice in choices(annotation):
        if text == to_text(choice):
            return choice
    if get_origin(annotation) in (list, dict):
        marks = "[]" if get_origin(annotation) is list else "{}"
        bare = not text.startswith(marks[0]) and (marks == "[]" or ":" in text or not text)
        return recipes.read_text(annotation, marks[0] + text + marks[1] if bare else text)
    if not text and type(None) in kinds:
        return None
    for kind in (int, float):
        if kind in kinds:
            try:
                return kind(text)
            except ValueError:
                continue
    return text


def _same(said: Any, filed: Any) -> bool:
    if isinstance(filed, float) and isinstance(said, (int, float)):
        return math.isclose(said, filed, rel_tol=1e-12)
    return bool(said == filed) or (said in ("", None) and filed in ("", None))


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    """Dotted keys and values of a recipe as plain data, without task and method, which the form has apart."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= {f"{key}.{name}": item for name, item in value.items()}
        elif key not in ("task", "method") and value is not None:
            flat[key] = value
    return flat


def known(method: str | None) -> bool:
    """Whether there is such a method; a stored form may name one that is gone."""
    try:
        return bool(method) and registry.get(method) is not None
    except StudioError:
        return False
