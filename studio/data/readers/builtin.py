"""`builtin:NAME?option=value`: sets that are made on the spot (see studio.data.builtin)."""

from studio.data import builtin
from studio.data.items import Dataset
from studio.data.limits import Limits

OPTIONS = None  # each set has its own


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError for an unknown set or option."""
    return builtin.load(rest, limits, **options)
