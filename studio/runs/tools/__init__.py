"""Tools: those of this folder serve every task that answers as they need it; a task's folder may bring more.

They stand on predicting, films and the comparison of two checkpoints in `studio.runs`, and know no page.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

from studio.core import registry
from studio.core.errors import UsageError, nearest
from studio.core.recipe import validate
from studio.core.tool import Bench, Tool, ToolResult, kind_of


def tools() -> list[Tool]:
    """All tools, by name."""
    for module in pkgutil.iter_modules(__path__, prefix=f"{__name__}."):
        importlib.import_module(module.name)
    return registry.tools()


def fitting(manifest: Any) -> list[Tool]:
    """Those that can be used on a checkpoint with this manifest, by name."""
    return [tool for tool in tools() if tool.fits(manifest)]


def tool_named(name: str) -> Tool:
    """The tool of this name. Raises UsageError naming the nearest known one."""
    by_name = {tool.name: tool for tool in tools()}
    if name not in by_name:
        raise UsageError(f"tool: there is no tool {name!r}.{nearest(name, by_name)}")
    return by_name[name]


def use(tool: Tool, checkpoint: Any, values: Mapping[str, Any], bench: Bench) -> ToolResult:
    """Does what a tool does with a `studio.store` checkpoint.

    Raises UsageError where it does not fit the checkpoint, or for values that its inputs do not take.
    """
    if not tool.fits(checkpoint.manifest):
        names = ", ".join(other.name for other in fitting(checkpoint.manifest)) or "none"
        raise UsageError(
            f"tool {tool.name} does not fit {checkpoint.id}, which was made by {checkpoint.manifest.method}; "
            f"tools that do: {names}."
        )
    given = {key: value for key, value in values.items() if value is not None}
    return tool.run(checkpoint.id, validate(tool.Inputs, given, "tool"), bench)


def described(tool: Tool) -> dict[str, Any]:
    """A tool as plain data, with what each of its inputs is: what `launch.py tools --json` shows."""
    fields = tool.Inputs.model_fields.items()
    inputs = [{**registry.describe_field(name, info), "kind": kind_of(info)} for name, info in fields]
    return {"name": tool.name, "title": tool.title, "about": tool.about, "inputs": inputs}
