"""Scores a meta-trained method on episodes: on features computed once, or on pixels where it adapts to each."""

from collections.abc import Callable

import torch
from torch import Tensor

from fewshot.episodes import EpisodeSource
from fewshot.evaluate import EpisodeScores, Pools, evaluate
from fewshot.meta.base import MetaLearner
from fewshot.meta.tasks import Pool, to_float

ADAPTING_MB = 32  # of pixels at a time, so that a run soon stops when asked to


def score(
    learner: MetaLearner,
    pool: Pool,
    source: EpisodeSource,
    device: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> EpisodeScores:
    """The learner's scores on all episodes of `source`, whose index means the images of `pool`."""
    learner.train_mode(False)
    with torch.no_grad():
        if learner.adapts_per_episode:  # the pixels take the place of features, and the head learns on them
            rows = pool.images(torch.arange(len(pool))).flatten(1).to(device)
            memory_mb = ADAPTING_MB
        else:
            rows, memory_mb = features(learner, pool, device), 256
        pools = Pools(rows)
    return evaluate(
        learner.episode_head(), source, pools, memory_mb=memory_mb, progress=progress, should_stop=should_stop
    )


@torch.no_grad()
def features(learner: MetaLearner, pool: Pool, device: str, batch_size: int = 256) -> Tensor:
    """Features [N * turns, D] of every image of the pool."""
    learner.train_mode(False)
    parts = [
        learner.embed(to_float(pool.images(rows).to(device), learner.preprocess)).float()
        for rows in torch.arange(len(pool)).split(batch_size)
    ]
    return torch.cat(parts)
