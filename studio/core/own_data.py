"""What a preset states for its own built-in data, and what of it holds where other data are given."""

import re
from collections.abc import Mapping
from typing import Any

from studio.core import registry

#: keys whose values a preset chooses for small built-in images and their classes
FITTED = ("model.image_size", "eval.ways")
BUILT_IN = re.compile(r"\bbuiltin:")
#: how long training takes: a preset's epochs fit the size of its built-in data
BUDGET = ("train.epochs", "train.minutes", "train.max_steps")
OTHER = re.compile(r"(?<![\w+-])(?!builtin:)[A-Za-z][\w+-]*:")  # a scheme such as `folder:` or `voc:`


def fit_to_own_data(values: dict[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Takes what a recipe states for its built-in data out of `values` where `given` names other data instead.

    `values` is a recipe as plain data, `given` maps dotted keys to what is laid over it. A key that is itself given
    stays. Returns a sentence for each key that was taken out, for people to read.
    """
    own = [key for key, value in given.items() if _replaces_built_in(values, key, value)]
    notes = []
    for key in FITTED if own else ():
        section, _, name = key.partition(".")
        stated = values.get(section, {})
        if name in stated and key not in given:
            value = stated.pop(name)
            if not stated:
                values.pop(section)
            default = "the backbone's own size" if key == "model.image_size" else "the default"
            notes.append(
                f"{key}: {value} is for the preset's built-in data; with other data ({own[0]}) {default} is taken. "
                f"Give {key} to have another."
            )
    return notes + _take_budget(values, given, own)


def _take_budget(values: dict[str, Any], given: Mapping[str, Any], own: list[str]) -> list[str]:
    """Where a task's own data are trained on for so many minutes, puts these for the preset's epochs, and says so."""
    minutes = registry.task_named(given.get("task") or values.get("task") or "classify").own_minutes
    train = values.get("train", {})
    if minutes is None or "data.train" not in own or "epochs" not in train or any(key in given for key in BUDGET):
        return []
    epochs, train["minutes"] = train.pop("epochs"), minutes
    return [
        f"train.epochs: {epochs} is for the preset's built-in data; with other data (data.train) training takes about "
        f"{minutes:g} minutes. Give train.epochs or train.minutes to have another."
    ]


def _replaces_built_in(values: dict[str, Any], key: str, value: Any) -> bool:
    """Whether `key` is given data that are not built in, in a recipe whose data are."""
    if not isinstance(value, str) or not value:
        return False
    section, _, name = key.partition(".")
    if key == "eval.episodes_file":
        return value != "null" and _is_built_in(values)
    if section == "params":  # some methods have data among their params
        return bool(BUILT_IN.search(str(values.get("params", {}).get(name, "")))) and bool(OTHER.search(value))
    return section == "data" and bool(OTHER.search(value)) and _is_built_in(values)


def _is_built_in(values: dict[str, Any]) -> bool:
    texts = [text for text in values.get("data", {}).values() if isinstance(text, str)]
    return bool(texts) and not any(OTHER.search(text) for text in texts)
