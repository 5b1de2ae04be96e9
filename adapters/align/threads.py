"""How many threads a solver's small steps get."""

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

SMALL = 10_000_000  # numbers of a matrix up to which a product with a vector is too short for several threads


def suited_to(rows: int, columns: int) -> AbstractContextManager:
    """One thread for many products of a rows x columns matrix with vectors, where these are short.

    A second thread would hardly be awake before such a product is over, and on busy cores it is waited for: a solver
    that takes 12 ms on one thread was seen to take 600 ms on two.
    """
    if rows * columns > SMALL:
        return nullcontext()
    return _blas().limit(limits=1, user_api="blas")


@cache
def _blas() -> Any:
    """The BLAS libraries of this process; to look for them takes milliseconds."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
