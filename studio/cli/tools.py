"""What can be done with a checkpoint beyond predicting."""

import argparse

from studio.cli.parser import command, json_option
from studio.core.home import Home
from studio.core.stdout import print_json


@command("tools", "list what can be done with a checkpoint beyond predicting", json_option)
def tools(args: argparse.Namespace) -> int:
    from studio.runs.tools import described
    from studio.runs.tools import tools as all_tools
    from studio.terminal import show_rows

    rows = [described(tool) for tool in all_tools()]
    return show_rows(rows, ["name", "about"], args.json, "tools")


def _tool_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="a tool's name (launch.py tools)")
    parser.add_argument("checkpoint", nargs="?", help="a checkpoint's id, tag, or the run that made it")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="the tool's own: launch.py tool NAME ID --help")


@command("tool", "do something with a checkpoint beyond predicting", _tool_arguments)
def tool(args: argparse.Namespace) -> int:
    from studio.cli.options import read_arguments
    from studio.core.tool import Bench
    from studio.runs.predict import load_checkpoint, teach_checkpoint
    from studio.runs.tools import tool_named, use
    from studio.store import Store
    from studio.terminal import show_tool_result

    chosen = tool_named(args.name)
    options, values = read_arguments(chosen, args.arguments if args.checkpoint else ["--help"])
    args.json = options.json
    home = Home.find()
    checkpoint = Store(home).checkpoint(args.checkpoint)
    bench = Bench(
        lambda name, look=None: load_checkpoint(name, home, options.device, look),
        lambda name, images: teach_checkpoint(name, images, home), home,
    )  # fmt: skip
    return show_tool_result(use(chosen, checkpoint, values, bench), chosen.name, options.out, options.json)


def _teach_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint")
    parser.add_argument("label", help="the class the photos show, known or new")
    parser.add_argument("paths", nargs="+", metavar="PATH")
    json_option(parser)


@command("teach", "teach a few-shot checkpoint a new class or a correction", _teach_arguments)
def teach(args: argparse.Namespace) -> int:
    from studio.runs.predict import image_files, teach_checkpoint
    from studio.terminal import say

    taught = teach_checkpoint(args.checkpoint, {args.label: image_files(args.paths).images})
    print_json({"checkpoint": taught.id, "classes": taught.manifest.classes}) if args.json else say(
        f"New checkpoint: {taught.id}"
    )
    return 0
