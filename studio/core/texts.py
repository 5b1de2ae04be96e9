"""YAML and JSON from outside, read within bounds: what is too large, too deep or unfolds into too much is refused.

Every YAML and JSON that a person can hand over (recipes, `--set`, annotations, episodes) is read here.
"""

import json
from collections.abc import Iterator
from typing import Any

import yaml

TEXT_BYTES = 2**20  # of a recipe or a setting: far more than anyone writes by hand
VALUES = 100_000  # in a recipe or a setting
DIGITS = 400  # of a whole number: 1:1:1:... is one to YAML, and costs the square of its length

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # eight times as fast where PyYAML has libyaml
_TextLoader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # every scalar stays the text that it is written as


class TextError(ValueError):
    """The text is no YAML or JSON, or more than is read; the message says which, and quotes nothing of it."""


class TooMuch(TextError):
    """The text may be YAML or JSON, and is more than is read."""


def load_yaml(text: str, most_bytes: int = TEXT_BYTES, most_values: int = VALUES, as_text: bool = False) -> Any:
    """What a YAML text says, by the safe loader. Raises TextError.

    `as_text` keeps every scalar as text: to YAML 1.1 `no` and `off` are false, and 007 is 7.

    Aliases may be used, but what they unfold into counts: nine lines can stand for a billion values.
    """
    if len(text) > most_bytes:
        raise TooMuch(f"it has {len(text):,} characters, more than the {most_bytes:,} that are read")
    try:
        loader = (_TextLoader if as_text else _Loader)(text)
        try:
            node = loader.get_single_node()
            if node is not None and _unfolded(node, {}) > most_values:
                raise TooMuch(f"it unfolds into more than {most_values:,} values")
            return None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        place = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        what = " ".join(filter(None, [error.context, error.problem])) or "it is no YAML"
        raise TextError(f"{what}{place}") from error
    except RecursionError as error:
        raise TextError("it is nested too deeply") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise error if isinstance(error, TextError) else TextError("it holds a value that is none") from error


def load_json(data: bytes | str, most_bytes: int = TEXT_BYTES, most_values: int = VALUES) -> Any:
    """What a JSON text in UTF-8 says. Raises TextError."""
    if len(data) > most_bytes:
        raise TooMuch(f"it has {len(data):,} bytes, more than the {most_bytes:,} that are read")
    marks = (b",", b"[", b"{") if isinstance(data, bytes) else (",", "[", "{")
    if sum(data.count(mark) for mark in marks) > most_values:  # each takes many times its size once it is read
        raise TooMuch(f"it holds more than the {most_values:,} values that are read")
    try:
        return json.loads(data.decode("utf-8-sig") if isinstance(data, bytes) else data)
    except RecursionError as error:
        raise TextError("it is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise TextError(f"{error.msg} in line {error.lineno}") from error
    except ValueError as error:  # not UTF-8, or a number of thousands of digits
        raise TextError(str(error).partition(";")[0][:120]) from error


def _unfolded(node: yaml.Node, known: dict[int, float]) -> float:
    """How many values a node stands for once its aliases are followed; infinite for one that holds itself."""
    if id(node) not in known:
        known[id(node)] = float("inf")
        if isinstance(node, yaml.ScalarNode) and node.tag.endswith(":int") and len(node.value) > DIGITS:
            raise TextError(f"it holds a number of {len(node.value):,} digits")
        known[id(node)] = 1 + sum(_unfolded(child, known) for child in _children(node))
    return known[id(node)]


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
