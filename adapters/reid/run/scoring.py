"""A trial's scores: its queries ranked against its gallery, by the settings of the recipe."""

from dataclasses import dataclass

import numpy as np

from adapters.reid.data.trials import seen
from adapters.reid.run.reranking import reranked
from adapters.reid.task import ReidEval
from studio.data.items import Dataset
from studio.metrics.retrieval import (
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
    """A trial that was ranked; `queries` and `answers` are who is in each. `again`: the ranking of re-ranking."""

    ranking: Ranking
    query: Side
    gallery: Side
    queries: Seen
    answers: Seen
    again: Ranking | None = None


def score(query: Side, gallery: Side, settings: ReidEval, seed: int) -> Scored:
    """The ranking of a trial; with `single_shot` that of all draws together."""
    asks, answers = seen(query.dataset, gallery.dataset)
    asked = query.embeddings
    if settings.multi_query:
        asked, asks = pooled(asked, asks)
    rankings, again = [], []
    for rows in _galleries(answers, settings.single_shot, seed):
        part = answers.rows(rows)
        embeddings = gallery.embeddings[rows[by_identity(part)]]
        rankings.append(rank_queries(euclidean(asked, embeddings), asks, part))
        if settings.rerank:
            distances = reranked(asked, embeddings, settings.k1, settings.k2, settings.keep)
            again.append(rank_queries(distances, asks, part))
    return Scored(joined(rankings), query, gallery, asks, answers, joined(again) if again else None)


def _galleries(answers: Seen, draws: int, seed: int) -> list[np.ndarray]:
    if not draws:
        return [np.arange(len(answers))]
    return [one_each(answers, np.random.default_rng((seed, number))) for number in range(draws)]
