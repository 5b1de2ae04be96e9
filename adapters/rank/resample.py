"""How sure an order is: the scores again on many random halves of the images."""

from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from studio.core.errors import StoppedByUser

SMALL = 2000  # up to so many images, one thread is faster than many that wait for each other


def halves(y: np.ndarray, count: int, seed: int) -> list[np.ndarray]:
    """`count` sorted index sets, each a random half of every class of labels [n], at least two images of it.

    Halves without replacement, and not a bootstrap with it: a copy would be its own nearest neighbour and sit on
    both sides of a fold. Over halves a mean varies as much as the whole mean does over draws of images (Politis
    and Romano 1994), so that no factor is needed.
    """
    draw = np.random.default_rng(seed)
    members = [np.flatnonzero(y == label) for label in np.unique(y)]
    return [
        np.sort(np.concatenate([draw.permutation(rows)[: max(2, (len(rows) + 1) // 2)] for rows in members]))
        for _ in range(count)
    ]


def resampled(
    score: Callable[[np.ndarray, np.ndarray], float],
    arrays: list[np.ndarray],
    y: np.ndarray,
    count: int,
    seed: int,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> np.ndarray:
    """Scores [count, B] of B arrays [n, ...], all on the same halves, so that they compare image by image."""
    values = np.empty((count, len(arrays)))
    with threadpool_limits(1 if len(y) <= SMALL else None):
        for number, rows in enumerate(halves(y, count, seed)):
            if should_stop():
                raise StoppedByUser("Stopped while looking how sure the order is; the features are kept.")
            values[number] = [score(array[rows], y[rows]) for array in arrays]
            on_progress(number + 1, count)
    return values
