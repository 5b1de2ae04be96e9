"""A tool's inputs as arguments of the command line."""

import argparse
from typing import Any

from studio.core.recipe import members_of
from studio.core.tool import Tool, kind_of


def read_arguments(tool: Tool, words: list[str]) -> tuple[argparse.Namespace, dict[str, Any]]:
    """What was given after `tool NAME CHECKPOINT`: `--out`, `--device`, `--json`, and the values of the inputs.

    Images and films come by their place, everything else by its name. Exits with code 2 for what it does not know.
    """
    parser = argparse.ArgumentParser(prog=f"launch.py tool {tool.name} CHECKPOINT", description=tool.about)
    for name, info in tool.Inputs.model_fields.items():
        option, about = "--" + name.replace("_", "-"), (info.description or "").replace("%", "%%")
        if kind_of(info) in ("image", "film"):
            parser.add_argument(name, metavar=kind_of(info).upper(), help=about)
        elif info.annotation is bool:
            parser.add_argument(option, action="store_true", default=None, help=about)
        else:
            is_list = not members_of(info.annotation) <= {str, int, float, type(None)}
            read = (lambda text: text.split(",")) if is_list else str
            parser.add_argument(option, required=info.is_required(), type=read, help=about)
    parser.add_argument("--out", metavar="DIR", default=".", help="where drawings and films go (default: here)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true", help="print one JSON value as the last line of stdout")
    given = parser.parse_args(words)
    return given, {name: getattr(given, name) for name in tool.Inputs.model_fields}
