"""Typed fields as options of the command line: the inputs of a tool, and the ways in which a checkpoint may look."""

import argparse
from typing import Any, Literal, get_args, get_origin

from studio.core import registry
from studio.core.recipe import members_of
from studio.core.tool import Tool, kind_of


def add_option(parser: Any, name: str, info: Any) -> None:
    """Declares `--name` for a pydantic field; what is not given is None. A list is written with commas."""
    option, about = "--" + name.replace("_", "-"), (info.description or "").replace("%", "%%")
    if info.annotation is bool:
        parser.add_argument(option, action="store_true", default=None, help=about)
    elif members_of(info.annotation) <= {str, int, float, type(None)}:
        parser.add_argument(option, metavar=_choices(info.annotation), required=info.is_required(), help=about)
    else:
        parser.add_argument(option, metavar="X,X", required=info.is_required(), type=_parts, help=about)


def _choices(annotation: Any) -> str | None:
    """`{a,b}` where the field is one of some words."""
    literals = [part for part in (annotation, *get_args(annotation)) if get_origin(part) is Literal]
    return "{" + ",".join(map(str, get_args(literals[0]))) + "}" if literals else None


def _parts(text: str) -> list[str]:
    return text.split(",")


def add_looks(parser: argparse.ArgumentParser) -> None:
    """How a checkpoint looks: the keys of `eval` that tasks name in `looks`."""
    group = parser.add_argument_group("how it looks", "default: as the checkpoint was judged")
    for name, info in _looks().items():
        add_option(group, name, info)
    group.add_argument(
        "--adapt",
        metavar="{tent,bn-adapt,eata}",
        help="adapt to the images while answering (classifiers trained whole)",
    )


def looks_of(args: argparse.Namespace) -> dict[str, Any]:
    """Those of `add_looks` that were given."""
    return {name: getattr(args, name) for name in [*_looks(), "adapt"] if getattr(args, name) is not None}


def _looks() -> dict[str, Any]:
    """The fields by name; of several tasks that have one, the first describes it."""
    fields: dict[str, Any] = {}
    for task in registry.tasks():
        for name in task.looks:
            fields.setdefault(name, task.Eval.model_fields[name])
    return fields


def read_arguments(tool: Tool, words: list[str]) -> tuple[argparse.Namespace, dict[str, Any]]:
    """What was given after `tool NAME CHECKPOINT`: `--out`, `--device`, `--json`, and the values of the inputs.

    Images and films come by their place, everything else by its name. Exits with code 2 for what it does not know.
    """
    parser = argparse.ArgumentParser(prog=f"launch.py tool {tool.name} CHECKPOINT", description=tool.about)
    for name, info in tool.Inputs.model_fields.items():
        if kind_of(info) in ("image", "film"):
            parser.add_argument(name, metavar=kind_of(info).upper(), help=info.description)
        elif kind_of(info) == "other-image":
            parser.add_argument(f"--{name.replace('_', '-')}", metavar="IMAGE", help=info.description)
        else:
            add_option(parser, name, info)
    parser.add_argument("--out", metavar="DIR", default=".", help="where drawings and films go (default: here)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true", help="print one JSON value as the last line of stdout")
    given = parser.parse_args(words)
    return given, {name: getattr(given, name) for name in tool.Inputs.model_fields}
