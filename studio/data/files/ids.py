"""Identifiers in annotations, which one tool writes as numbers and the next as text."""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Generic, TypeVar

V = TypeVar("V")


class Ids(Generic[V]):
    """Values by their id. `1`, `"1"` and `1.0` are one id, unless the ids themselves tell them apart.

    `twice` names the ids that occur more than once.
    """

    def __init__(self, pairs: Iterable[tuple[object, V]]) -> None:
        self._exact: dict[tuple[str, str], list[V]] = defaultdict(list)
        self._loose: dict[str, list[V]] = defaultdict(list)
        written: dict[tuple[str, str], object] = {}
        for key, value in pairs:
            self._exact[_exact(key)].append(value)
            self._loose[_loose(key)].append(value)
            written[_exact(key)] = key
        self.twice = [written[key] for key, values in self._exact.items() if len(values) > 1]

    def __contains__(self, key: object) -> bool:
        return self._of(key) is not None

    def __getitem__(self, key: object) -> V:
        value = self._of(key)
        if value is None:
            raise KeyError(key)
        return value[0]

    def values(self) -> list[V]:
        """All values, in their order."""
        return [value for values in self._exact.values() for value in values]

    def _of(self, key: object) -> list[V] | None:
        """The one value of a key, in a list of its own; None where none or several are meant."""
        for values in (self._exact.get(_exact(key)), self._loose.get(_loose(key))):
            if values:
                return values if len(values) == 1 else None
        return None


def _exact(key: object) -> tuple[str, str]:
    return type(key).__name__, repr(key)


def _loose(key: object) -> str:
    if isinstance(key, bool) or not isinstance(key, (int, float, str)):
        return repr(key)
    text = str(key).strip()
    if re.fullmatch(r"[+-]?\d{1,30}(\.0{1,9})?", text):
        return str(int(text.partition(".")[0]))
    return text
