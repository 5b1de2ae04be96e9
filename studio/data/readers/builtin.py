"""`builtin:NAME?option=value`: sets that are made on the spot (see studio.data.builtin)."""

from studio.data import builtin
from studio.data.items import Dataset


def read(rest: str, options: dict[str, str]) -> Dataset:
    return builtin.load(rest, **options)
