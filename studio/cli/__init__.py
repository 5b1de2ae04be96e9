"""The studio in a terminal: one file a kind of command, each command thin.

Exit codes: 0 finished, 1 failed, 2 wrong usage or recipe, 3 stopped by the user. Progress and logs go
to stderr; with --json the last line of stdout is one JSON object or list. Imports are made where they
are needed, so that `--help`, `presets` and `runs` answer at once. May use studio.runs and below, and studio.terminal.
"""

import importlib
import sys

from studio.cli.parser import COMMANDS, build_parser
from studio.core.errors import StudioError
from studio.core.stdout import print_json, take_any_text

__all__ = ["COMMANDS", "main"]

#: in the order of --help
FILES = (
    "page", "runs", "sweep", "lists", "predict", "embed", "tools", "checkpoints", "serve", "data", "checks", "label",
    "space",
)  # fmt: skip
for file in FILES:
    importlib.import_module(f"studio.cli.{file}")


def main(argv: list[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    take_any_text()
    parser = build_parser()
    args = parser.parse_args(_default_to_ui(sys.argv[1:] if argv is None else list(argv)))
    try:
        return args.command_function(args) or 0
    except StudioError as error:
        if getattr(args, "json", False):
            print_json({"error": str(error)})
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 3
    except BrokenPipeError:
        return 0


def _default_to_ui(argv: list[str]) -> list[str]:
    if not argv or (argv[0].startswith("-") and argv[0] not in ("-h", "--help", "--version")):
        return ["ui", *argv]
    return argv
