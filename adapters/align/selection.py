"""Scores that need no target label, to choose parameters by. Higher is better.

`build(xs, ys, xt)` fits an estimator; each score calls it as often as it must.
"""

from collections.abc import Callable
from itertools import product
from math import prod
from typing import Any

import numpy as np

from adapters.align.base import Aligner
from adapters.align.normalize import unit_rows
from studio.core.errors import UsageError, nearest
from studio.core.registry import Params
from studio.core.texts import TextError, load_yaml

Build = Callable[[np.ndarray, np.ndarray, np.ndarray], Aligner]
COMBINATIONS = 10_000  # of parameters to choose from
MOST = 3000  # target samples of the neighbourhood density


def entropy(build: Build, xs: np.ndarray, ys: np.ndarray, xt: np.ndarray, seed: int) -> float:
    """Minus the mean entropy of target predictions. Morerio et al. 2018."""
    return -float(_entropies(build(xs, ys, xt).predict_proba(xt)).mean())


def snd(build: Build, xs: np.ndarray, ys: np.ndarray, xt: np.ndarray, seed: int) -> float:
    """Soft neighbourhood density: mean entropy of each sample's similarities to the others' predictions.

    Saito et al. 2021, eq. 1-3, temperature 0.05.
    """
    return density(build(xs, ys, xt).predict_proba(xt), seed)


def density(probabilities: np.ndarray, seed: int) -> float:
    """Soft neighbourhood density of predictions [m, C]."""
    found = unit_rows(probabilities)
    if len(found) > MOST:
        found = found[np.random.default_rng(seed).permutation(len(found))[:MOST]]
    similar = found @ found.T / 0.05
    np.fill_diagonal(similar, -np.inf)
    share = np.exp(similar - similar.max(axis=1, keepdims=True))
    return float(_entropies(share / share.sum(axis=1, keepdims=True)).mean())


def importance_weighted(build: Build, xs: np.ndarray, ys: np.ndarray, xt: np.ndarray, seed: int) -> float:
    """Accuracy on held-out source samples, weighted by p_target / p_source. Sugiyama et al. 2007."""
    weights, right = _weighted_hits(build, xs, ys, xt, seed)
    return float((weights * right).mean())


def dev(build: Build, xs: np.ndarray, ys: np.ndarray, xt: np.ndarray, seed: int) -> float:
    """Deep embedded validation: the weighted risk with a control variate. You et al. 2019, eq. 9-10. Minus the risk."""
    return -controlled_risk(*_weighted_hits(build, xs, ys, xt, seed))


def controlled_risk(weights: np.ndarray, right: np.ndarray) -> float:
    """The share of wrong answers, weighted [n], less its control variate. You et al. 2019, eq. 9-10."""
    losses = weights * (1.0 - right)
    spread = weights.var()
    eta = -np.cov(losses, weights)[0, 1] / spread if spread > 1e-12 else 0.0
    return float(losses.mean() + eta * weights.mean() - eta)


def circular(build: Build, xs: np.ndarray, ys: np.ndarray, xt: np.ndarray, seed: int) -> float:
    """The source's accuracy when learned back from the target's predicted labels. Bruzzone and Marconcini 2010."""
    guesses = build(xs, ys, xt).predict(xt)
    if len(np.unique(guesses)) < 2:
        return 0.0
    return float((build(xt, guesses, xs).predict(xs) == ys).mean())


SCORES = {
    "entropy": entropy,
    "snd": snd,
    "importance-weighted": importance_weighted,
    "dev": dev,
    "circular": circular,
}


def settings(text: str, params: Params) -> list[Params]:
    """The parameter sets that `choose` names, such as `dim: [10, 20], ridge: [0.1, 1]`: every combination.

    Raises UsageError for an unknown parameter or a value out of range.
    """
    try:
        grid = load_yaml("{" + text.strip().strip("{}") + "}")
    except TextError:
        grid = None
    if not isinstance(grid, dict) or not grid:
        raise UsageError(f"params.choose: found {text!r}; expected lists by name, such as `dim: [10, 20, 30]`.")
    known = type(params).model_fields
    for name in grid:
        if name not in known or name in ("choose", "score"):
            raise UsageError(f"params.choose: there is no parameter {name!r} to choose.{nearest(name, known)}")
    lists = [value if isinstance(value, list) else [value] for value in grid.values()]
    if prod(map(len, lists)) > COMBINATIONS:
        raise UsageError(f"params.choose: these are {prod(map(len, lists)):,} combinations; at most {COMBINATIONS:,}.")
    try:
        combined = [dict(zip(grid, values, strict=True)) for values in product(*lists)]
        return [type(params)(**{**params.model_dump(), **values}) for values in combined]
    except ValueError as error:
        raise UsageError(f"params.choose: {text!r} holds a value that does not fit: {error}") from None


def best(
    candidates: list[Params], score: Callable[[Params], float], tell: Callable[[int, int], Any]
) -> tuple[Params, list[float]]:
    """The candidate of the highest score (the first of equals), and all scores."""
    scores = []
    for place, candidate in enumerate(candidates):
        scores.append(score(candidate))
        tell(place + 1, len(candidates))
    return candidates[int(np.argmax(np.nan_to_num(scores, nan=-np.inf)))], scores


def _weighted_hits(
    build: Build, xs: np.ndarray, ys: np.ndarray, xt: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (mean 1) of held-out source samples, and whether each was predicted right.

    A fifth of the source is held out. It is seen as the target is: through the same projection.
    """
    held = np.random.default_rng(seed).permutation(len(xs)) % 5 == 0
    estimator = build(xs[~held], ys[~held], xt)
    zs, zt = estimator.embed(xs, "source"), estimator.embed(xt)
    right = estimator.classifier.predict_proba(zs[held]).argmax(axis=1) == ys[held]
    return importance(zs[~held], zt, zs[held]), right.astype(float)


def importance(source: np.ndarray, target: np.ndarray, held: np.ndarray) -> np.ndarray:
    """p_target / p_source [h] of held-out source features [h, d], mean 1, by logistic regression between domains."""
    from adapters.align.discriminator import domain_direction

    scale = np.sqrt((target * target).sum(axis=1).mean()) or 1.0
    direction, bias = domain_direction(source / scale, target / scale, 1.0)
    weights = np.exp(np.clip(held / scale @ direction + bias, -20.0, 20.0))
    return weights / weights.mean()


def _entropies(share: np.ndarray) -> np.ndarray:
    return -(share * np.log(np.maximum(share, 1e-300))).sum(axis=1)
