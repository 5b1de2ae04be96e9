"""What can be named in a recipe: presets, methods and backbones."""

import argparse

from studio.cli.parser import command, json_option
from studio.core import recipe as recipes
from studio.core.errors import UsageError, nearest
from studio.core.home import Home


@command("presets", "list shipped presets and your own", json_option)
def presets(args: argparse.Namespace) -> int:
    from studio.terminal import show_rows

    rows = recipes.list_presets(Home.find())
    return show_rows(rows, ["name", "task", "method", "about"], args.json, "presets")


@command("methods", "list methods with their parameters", lambda p: (p.add_argument("--task"), json_option(p)))
def methods(args: argparse.Namespace) -> int:
    from studio.core import registry
    from studio.terminal import show_methods

    tasks = {cls.task for cls in registry.methods()}
    if args.task and args.task not in tasks:
        raise UsageError(f"--task: there is no task {args.task!r}.{nearest(args.task, tasks)}")
    return show_methods([registry.describe(cls) for cls in registry.methods(args.task)], args.json)


@command("backbones", "list backbones usable now, and how to name others", json_option)
def backbones(args: argparse.Namespace) -> int:
    from studio.core import registry
    from studio.terminal import say, show_rows

    code = show_rows(registry.backbones(), ["name", "usable", "about"], args.json, "backbones")
    if not args.json:
        say("Others: " + recipes.ModelSection.model_fields["backbone"].description)
    return code
