"""The page: `ui`."""

import argparse

from studio.cli.parser import command
from studio.core import recipe as recipes
from studio.core.errors import UsageError
from studio.core.home import Home


def _ui_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--preset", help="open with this preset chosen")
    parser.add_argument("--auth", metavar="USER:PASSWORD", help="ask visitors for this name and password")
    parser.add_argument("--share", action="store_true", help="a temporary public address through Gradio")
    parser.add_argument(
        "--hosted", action="store_true", help="serve strangers, as behind a proxy: each sees and opens their own alone"
    )
    parser.add_argument(
        "--allow-host", metavar="NAME", action="append", default=[],
        help="a name that the page is reached by, such as studio.example.org; again for more",
    )  # fmt: skip


@command("ui", "serve the page (also without a command)", _ui_arguments)
def ui(args: argparse.Namespace) -> int:
    from studio.terminal import say
    from studio.ui import serve

    if args.preset:
        recipes.find_preset(args.preset, Home.find())
    if args.auth is not None and not all(args.auth.partition(":")):
        raise UsageError("--auth: expected USER:PASSWORD, neither empty.")
    if remark := Home.find().open_to_others():
        say(remark)
    return serve(
        host=args.host, port=args.port, preset=args.preset, auth=args.auth, share=args.share, hosted=args.hosted,
        hosts=args.allow_host,
    )  # fmt: skip
