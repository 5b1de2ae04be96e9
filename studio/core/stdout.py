"""What is printed for people and for programs, whatever the encoding of the terminal or pipe."""

import json
import sys
from typing import Any


def take_any_text() -> None:
    """Has stdout and stderr write what their encoding lacks as a question mark, where they would raise."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not where a notebook or a test has put something else
            stream.reconfigure(errors="replace")


def print_json(value: Any) -> None:
    """One line of JSON on stdout, whose escapes keep what its encoding lacks."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, default=str)
    print(text)
