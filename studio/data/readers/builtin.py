"""`builtin:NAME?option=value`: sets that are made on the spot (see studio.data.builtin.sets)."""

from studio.data.builtin import sets
from studio.data.files.limits import Limits
from studio.data.items import Dataset

OPTIONS = None  # each set has its own


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError for an unknown set or option."""
    return sets.load(rest, limits, **options)
