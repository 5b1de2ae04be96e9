"""The commands, the arguments they declare, and the parser that is made of them."""

import argparse
import sys
from collections.abc import Callable
from typing import Any

from studio.core.errors import nearest


class _Parser(argparse.ArgumentParser):
    """Unknown commands are refused with the nearest known one."""

    def error(self, message: str) -> None:  # type: ignore[override]
        if "invalid choice" in message and self._subparsers is not None:
            wrong = message.split("'")[1]
            message = f"there is no command {wrong!r}.{nearest(wrong, COMMANDS)}"
        self.print_usage(sys.stderr)
        self.exit(2, f"error: {message}\n")


COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {}


def command(name: str, about: str, arguments: Callable[[argparse.ArgumentParser], Any] | None = None) -> Any:
    """Registers a command: its name, one line about it, and what declares its arguments."""

    def add(function: Callable[[argparse.Namespace], int | None]) -> Callable[[argparse.Namespace], int | None]:
        def declare(parser: argparse.ArgumentParser) -> None:
            if arguments is not None:
                arguments(parser)
            parser.set_defaults(command_function=function)

        COMMANDS[name] = (about, declare)
        return function

    return add


Action = tuple[str, Callable[[argparse.Namespace], int], Callable[[argparse.ArgumentParser], Any]]


def action_arguments(actions: dict[str, Action]) -> Callable[[argparse.ArgumentParser], None]:
    """Declares actions of a command by name: one line about each, what it does, what declares its arguments."""

    def declare(parser: argparse.ArgumentParser) -> None:
        parsers = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
        for name, (about, function, arguments) in actions.items():
            action = parsers.add_parser(name, help=about, description=about)
            arguments(action)
            json_option(action)
            action.set_defaults(action_function=function)

    return declare


def build_parser() -> argparse.ArgumentParser:
    """With every command that was imported."""
    from studio import __version__

    parser = _Parser(
        prog="launch.py",
        description="Transfer Studio: move pretrained vision models to your classes.",
        epilog="`launch.py test [pytest arguments]` runs the tests. Runs and checkpoints are kept in STUDIO_HOME.",
    )
    parser.add_argument("--version", action="version", version=f"Transfer Studio {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)
    for name, (about, declare) in COMMANDS.items():
        declare(commands.add_parser(name, help=about, description=about))
    return parser


def json_option(parser: argparse.ArgumentParser) -> None:
    """Declares --json."""
    parser.add_argument("--json", action="store_true", help="print one JSON value as the last line of stdout")


def on_option(parser: argparse.ArgumentParser) -> None:
    """Declares --on."""
    about = "a Ray cluster that works on it instead of this machine: ray (that of this machine), ray:HOST:PORT"
    parser.add_argument("--on", metavar="ray[:ADDRESS]", help=about)


def check_on(on: str | None) -> None:
    """Raises UsageError where --on names no cluster, or its packages are missing."""
    if on is not None:
        from studio.runs.cluster.connect import check_place

        check_place(on)


def share(text: str) -> float:
    """A number from 0 to 1, for `type=`."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, found {text}")
    return value


def count(text: str) -> int:
    """A whole number from 1, for `type=`."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, found {text}")
    return value
