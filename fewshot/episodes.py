"""Episodes as index tensors: which images are support and which are query, for thousands of episodes at once.

`EpisodeSampler` draws them; `FixedEpisodes` (fewshot.episode_files) reads them. Both hand out `EpisodeIndex`
chunks, so every head is scored on the same episodes and comparisons are paired.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from studio.core.errors import DataError, UsageError
from studio.core.faces import Episodes

DRAWN_AT_ONCE = 1024
#: how many episodes to take at a time, from ways, supports and queries an episode
ChunkSize = Callable[[int, int, int], int]


@dataclass(frozen=True)
class EpisodeIndex:
    """T episodes of W ways: image numbers, -1 where a class has fewer.

    index [T, W, K+Q] int64: in each row K support images, then Q query images. The first K columns count in the
    support pool, the others in the query pool (the same pool unless support and query come from two datasets).
    classes [T, W] int64: which class of the dataset each way is.
    """

    index: Tensor
    classes: Tensor
    shots: int

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, part: slice) -> "EpisodeIndex":
        return EpisodeIndex(self.index[part], self.classes[part], self.shots)

    @property
    def ways(self) -> int:
        return self.index.shape[1]

    @property
    def support(self) -> Tensor:
        """Support image numbers [T, W, K], -1 where padded."""
        return self.index[:, :, : self.shots]

    @property
    def query(self) -> Tensor:
        """Query image numbers [T, W, Q], -1 where padded."""
        return self.index[:, :, self.shots :]

    @property
    def support_labels(self) -> Tensor:
        """The way of each support [T, W*K], -1 where padded."""
        return _ways_of(self.support)

    @property
    def query_labels(self) -> Tensor:
        """The way of each query [T, W*Q], -1 where padded. Heads never see it."""
        return _ways_of(self.query)

    def to(self, device: torch.device | str) -> "EpisodeIndex":
        return EpisodeIndex(self.index.to(device), self.classes.to(device), self.shots)

    def gather(self, support: Tensor, query: Tensor) -> Episodes:
        """The episodes' features, from the support pool [N, D] and the query pool [M, D]."""
        return Episodes(
            support=_rows(support, self.support.flatten(1)),
            labels=self.support_labels,
            query=_rows(query, self.query.flatten(1)),
            query_mask=self.query.flatten(1) >= 0,
            ways=self.ways,
        )


class EpisodeSource(Protocol):
    """Where episodes come from: `total` of them over the classes named `classes`."""

    total: int
    classes: Sequence[str]

    def chunks(self, size: ChunkSize) -> Iterator[tuple[np.ndarray, EpisodeIndex]]:
        """All episodes in chunks of one shape, each with the numbers of its episodes."""


class EpisodeSampler:
    """Draws episodes: W classes without replacement, then K + Q images of each without replacement.

    `labels` [N] are class indices of the support pool (-1: takes no part), `query_labels` [M] those of the query
    pool where it is another dataset. A class with fewer than K + Q images gives what it has: support first, but at
    least one query. Episode number i depends on the seed and i alone, so any chunking gives the same episodes,
    and a stopped training run goes on with the ones it would have had.

    Raises UsageError for fewer than two ways, DataError for too few classes or a class with too few images.
    """

    def __init__(
        self,
        labels: np.ndarray,
        classes: Sequence[str],
        *,
        ways: int,
        shots: int,
        queries: int,
        episodes: int = 600,
        seed: int = 0,
        query_labels: np.ndarray | None = None,
    ) -> None:
        self.classes, self.ways, self.shots, self.queries = classes, ways, shots, queries
        self.total, self.seed = episodes, seed
        self._support = _Pool(labels, len(classes))
        self._query = None if query_labels is None else _Pool(query_labels, len(classes))
        self._eligible = self._check()

    @property
    def short(self) -> list[str]:
        """Classes that have fewer images than an episode asks for."""
        if self._query is None:
            few = self._support.counts < self.shots + self.queries
        else:
            few = (self._support.counts < self.shots) | (self._query.counts < self.queries)
        return [self.classes[c] for c in self._eligible if few[c]]

    def chunks(self, size: ChunkSize) -> Iterator[tuple[np.ndarray, EpisodeIndex]]:
        step = size(self.ways, self.ways * self.shots, self.ways * self.queries)
        block = step * max(1, DRAWN_AT_ONCE // step)  # drawing many at once is cheaper than scoring many at once
        for start in range(0, self.total, block):
            numbers = np.arange(start, min(start + block, self.total))
            drawn = self.draw(start, len(numbers))
            for at in range(0, len(numbers), step):
                yield numbers[at : at + step], drawn[at : at + step]

    def draw(self, start: int, count: int) -> EpisodeIndex:
        """Episodes number start .. start + count - 1."""
        asked = self.shots + self.queries
        width = self.ways * (1 + asked)  # random numbers an episode
        generator = np.random.Generator(np.random.PCG64(self.seed).advance(start * width))
        uniform = generator.random((count, width))

        chosen = distinct(uniform[:, : self.ways], np.full(count, len(self._eligible)))
        classes = self._eligible[chosen]
        images = uniform[:, self.ways :].reshape(count * self.ways, asked)
        rows = self._images(images, classes.reshape(-1))
        index = np.ascontiguousarray(rows).reshape(count, self.ways, asked)
        return EpisodeIndex(torch.from_numpy(index), torch.from_numpy(classes), self.shots)

    def _images(self, uniform: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """K support and Q query image numbers [R, K+Q] for R classes, -1 where there are no more."""
        have = self._support.counts[classes]
        if self._query is not None:
            support = self._support.images(classes, distinct(uniform[:, : self.shots], have))
            places = distinct(uniform[:, self.shots :], self._query.counts[classes])
            return np.concatenate([support, self._query.images(classes, places)], axis=1)
        places = distinct(uniform, have)
        if have.min() < uniform.shape[1]:
            places = _keep_a_query(places, have, self.shots)
        return self._support.images(classes, places)

    def _check(self) -> np.ndarray:
        """The classes episodes are drawn from."""
        if self.ways < 2:
            raise UsageError(f"eval.ways: found {self.ways}; an episode needs at least 2 classes to tell apart.")
        counts = self._support.counts
        found = counts > 0
        if self._query is not None:
            found &= self._query.counts > 0
        elif (counts == 1).any():
            alone = [self.classes[c] for c in np.flatnonzero(counts == 1)]
            raise DataError(
                f"{_listed(alone)}: one image only. An episode needs at least 2 images of a class, one to learn from "
                f"and one to ask about ({self.shots} shots and {self.queries} queries were asked for). "
                "Add images or leave the class out."
            )
        eligible = np.flatnonzero(found)
        if len(eligible) < self.ways:
            both = " with images in both datasets" if self._query is not None else ""
            advice = f"Set eval.ways to {len(eligible)} or less" if len(eligible) > 1 else "Add images of other classes"
            raise DataError(
                f"eval.ways: {self.ways} ways need {self.ways} classes; found {len(eligible)}{both}. {advice}."
            )
        return eligible


class _Pool:
    """The images of one dataset, by class."""

    def __init__(self, labels: np.ndarray, classes: int) -> None:
        labels = np.asarray(labels)
        self.counts = np.bincount(labels[labels >= 0], minlength=classes)
        by_class = np.argsort(labels, kind="stable")
        self._order = by_class[(labels < 0).sum() :]
        self._start = np.concatenate([[0], np.cumsum(self.counts)[:-1]])

    def images(self, classes: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Image numbers [R, k] at `places` [R, k] within `classes` [R]; -1 stays -1."""
        found = self._order[np.maximum(places, 0) + self._start[classes][:, None]]
        return np.where(places >= 0, found, -1)


def distinct(uniform: np.ndarray, size: np.ndarray, block: int = 1 << 22) -> np.ndarray:
    """Row i: k distinct numbers of 0 .. size[i]-1 in random order, -1 once they run out.

    The first k steps of Fisher-Yates shuffles on all rows at once, fed by `uniform` [R, k] in [0, 1).
    `block` bounds the working memory (elements).
    """
    rows, k = uniform.shape
    largest = int(size.max())
    step = max(1, block // max(largest, 1))
    parts = [_shuffle(uniform[at : at + step], size[at : at + step], largest) for at in range(0, rows, step)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _shuffle(uniform: np.ndarray, size: np.ndarray, largest: int) -> np.ndarray:
    rows, k = uniform.shape
    deck = np.repeat(np.arange(largest, dtype=np.int32)[:, None], rows, axis=1)  # [largest, R]: a step reads one row
    flat, column = deck.reshape(-1), np.arange(rows)
    drawn = np.full((k, rows), -1, dtype=np.int64)
    for j in range(min(k, largest)):
        left = size - j
        place = (j + (uniform[:, j] * np.maximum(left, 1)).astype(np.int64)) * rows + column
        drawn[j] = np.where(left > 0, flat[place], -1)
        flat[place] = deck[j]
    return drawn.T


def _keep_a_query(places: np.ndarray, have: np.ndarray, shots: int) -> np.ndarray:
    """Lets a class that has too few images keep at least one of them as query."""
    asked = places.shape[1]
    support = np.minimum(shots, have - 1)[:, None]
    column = np.arange(asked)[None]
    source = np.where(column < shots, column, column - shots + support)
    moved = np.take_along_axis(places, np.minimum(source, asked - 1), axis=1)
    wanted = np.where(column < shots, column < support, source < have[:, None])
    return np.where(wanted, moved, -1)


def _ways_of(index: Tensor) -> Tensor:
    ways = torch.arange(index.shape[1], device=index.device)[None, :, None]
    return torch.where(index >= 0, ways, -1).flatten(1)


def _rows(pool: Tensor, index: Tensor) -> Tensor:
    """Rows of `pool` [N, D] at `index` [T, n]; padding gets row 0, which masks keep out."""
    picked = pool.index_select(0, index.clamp(min=0).flatten())
    return picked.view(*index.shape, pool.shape[1])


def _listed(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
