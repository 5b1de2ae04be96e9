"""Proxy A-distance: how well a linear classifier tells the domains apart. Ben-David et al. 2007."""

import numpy as np

from adapters.rank.checks import pair
from adapters.rank.scores.linear_probe import linear_probe


def a_distance(source: np.ndarray, target: np.ndarray, seed: int = 0) -> float:
    """2 (1 - 2 err) of features [n, d] and [m, d]: 0 where the domains can't be told apart, 2 where always.

    err is the cross-validated error of logistic regression on as many rows of each domain, so that guessing the
    larger domain gains nothing; an error above a half counts as a half. Raises DataError.
    """
    source, target = pair(source, target)
    count = min(len(source), len(target))
    draw = np.random.default_rng(seed)
    both = np.concatenate([side[draw.permutation(len(side))[:count]] for side in (source, target)])
    error = 1 - linear_probe(both, np.repeat([0, 1], count), seed=seed)
    return 2 * (1 - 2 * min(error, 0.5))
