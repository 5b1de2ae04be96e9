"""A trial's scores: its queries ranked against its gallery, by the settings of the recipe."""

from dataclasses import dataclass

import numpy as np

from adapters.reid.data.trials import seen
from adapters.reid.task import ReidEval
from studio.data.items import Dataset
from studio.metrics.retrieval import (
    Distances,
    Ranking,
    Seen,
    by_identity,
    euclidean,
    joined,
    one_each,
    pooled,
    rank_queries,
)


@dataclass
class Side:
    """Queries or gallery: embeddings float32 [N, D], and the images they are of."""

    embeddings: np.ndarray
    dataset: Dataset


@dataclass
class Scored:
    """A trial that was ranked. `queries`, `gallery`: who is in each, as they were ranked; `asked` their embeddings."""

    ranking: Ranking
    query: Side
    gallery: Side
    queries: Seen
    answers: Seen


def score(query: Side, gallery: Side, settings: ReidEval, seed: int) -> Scored:
    """The ranking of a trial; with `single_shot` that of all draws together."""
    asks, answers = seen(query.dataset, gallery.dataset)
    asked = query.embeddings
    if settings.multi_query:
        asked, asks = pooled(asked, asks)
    rankings = []
    for rows in _galleries(answers, settings.single_shot, seed):
        part = answers.rows(rows)
        rankings.append(rank_queries(_distances(asked, gallery.embeddings[rows], part), asks, part))
    return Scored(joined(rankings) if len(rankings) > 1 else rankings[0], query, gallery, asks, answers)


def _distances(asked: np.ndarray, embeddings: np.ndarray, answers: Seen) -> Distances:
    return euclidean(asked, embeddings[by_identity(answers)])


def _galleries(answers: Seen, draws: int, seed: int) -> list[np.ndarray]:
    if not draws:
        return [np.arange(len(answers))]
    return [one_each(answers, np.random.default_rng((seed, number))) for number in range(draws)]
