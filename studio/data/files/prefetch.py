"""Work done ahead by threads, handed out in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from itertools import islice
from typing import TypeVar

Given = TypeVar("Given")
Result = TypeVar("Result")


def in_order(
    pool: Executor, work: Callable[[Given], Result], given: Iterable[Given], ahead: int, together: int = 1
) -> Iterator[Result]:
    """`work` of each, in the order given, with at most `ahead` begun and not yet taken: memory stays bounded.

    A thread takes so many `together`: to hand one over costs as much as a small image. Whoever stops early cancels
    what has not begun.
    """
    items, begun = iter(given), deque[Future[list[Result]]]()
    try:
        for group in iter(lambda: list(islice(items, together)), []):
            begun.append(pool.submit(lambda group=group: [work(item) for item in group]))
            if len(begun) * together >= ahead:
                yield from begun.popleft().result()
        while begun:
            yield from begun.popleft().result()
    finally:
        for future in begun:
            future.cancel()
