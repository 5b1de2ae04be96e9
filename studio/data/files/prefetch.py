"""Work done ahead by threads, handed out in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

Given = TypeVar("Given")
Result = TypeVar("Result")


def in_order(pool: Executor, work: Callable[[Given], Result], given: Iterable[Given], ahead: int) -> Iterator[Result]:
    """`work` of each, in the order given, with at most `ahead` begun and not yet taken: memory stays bounded.

    Whoever stops early cancels what has not begun.
    """
    begun: deque[Future[Result]] = deque()
    try:
        for item in given:
            begun.append(pool.submit(work, item))
            if len(begun) >= ahead:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        for future in begun:
            future.cancel()
