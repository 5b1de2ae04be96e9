"""Params of the methods in a table."""

from typing import Any

from pydantic import BaseModel, ValidationError

from studio.core.errors import UsageError, nearest
from studio.core.registry import Method


def params_of(cls: type[Method], values: dict[str, Any]) -> BaseModel:
    """A method's params, from `params.settings`. Raises UsageError where they do not fit."""
    short = cls.id.partition("/")[2]
    try:
        return cls.Params(**values)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        if fault["type"] == "extra_forbidden":
            known = nearest(where, cls.Params.model_fields)
            raise UsageError(f"params.settings.{short}: there is no parameter {where!r}.{known}") from None
        raise UsageError(f"params.settings.{short}.{where}: found {fault['input']!r}; {fault['msg']}.") from None


def chosen(text: str, known: list[str], wing: str, settings: dict[str, Any]) -> list[str]:
    """The methods that `text` names by comma, ids with or without their wing; all where it is empty.

    Raises UsageError for one that is not known, there or in `settings`.
    """
    asked = [part.strip().removeprefix(f"{wing}/") for part in text.split(",") if part.strip()]
    for name in [*asked, *settings]:
        if name not in known:
            raise UsageError(f"params.methods: there is no method {wing}/{name}.{nearest(name, known)}")
    return asked or known
