"""Scores a head on many episodes at once: chunks under a memory budget, the accuracy of every episode kept.

Memory does not grow with the number of episodes, but for four bytes each, and time grows linearly.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from fewshot.episodes import EpisodeIndex, EpisodeSource
from fewshot.heads.common import EpisodeGram, GramHead
from studio.core.errors import DataError, StoppedByUser
from studio.core.faces import EpisodeHead
from studio.metrics import mean_ci95

#: a confusion matrix of more classes than this tells nobody anything
MOST_CONFUSED = 200
#: bins of the expected calibration error (Guo et al. 2017)
BINS = 15
#: working memory: a CPU's caches, and its C library's way with large blocks, like small chunks; a GPU likes large ones
CPU_MB, GPU_MB = 96, 1024
#: a Gram matrix larger than this is not made
GRAM_MB = 256
#: an image pair of the Gram matrix costs as much as this share of gathering an image for an episode
#: (measured on a CPU by benchmarks/fewshot_heads.py --changeover; the width of the features cancels)
PAIRS_A_GATHER = 80


@dataclass(frozen=True)
class EpisodeScores:
    """What a head got: `accuracy` [T] float32 of each episode, and sums over all queries.

    asked, guessed, right [C]: queries of a class, guesses of it, and right ones; confusion [C, C] truth by guess, or
    None for many classes; bins [3, 15]: queries, confidence and right ones by confidence; `by` says how inner
    products came: "gram" or "features".
    """

    accuracy: np.ndarray
    asked: np.ndarray
    guessed: np.ndarray
    right: np.ndarray
    confusion: np.ndarray | None
    bins: np.ndarray
    seconds: float
    by: str

    @property
    def interval(self) -> tuple[float, float]:
        """Mean accuracy over episodes, and the half-width of its 95% interval."""
        return mean_ci95(self.accuracy)

    @property
    def macro_f1(self) -> float:
        """Mean F1 over the classes that were asked about or guessed."""
        seen = self.asked + self.guessed
        return float((2 * self.right[seen > 0] / seen[seen > 0]).mean())

    @property
    def ece(self) -> float:
        """Expected calibration error of the softmax over the scores, 15 bins."""
        queries, confidence, right = self.bins
        return float(np.abs(confidence - right).sum() / queries.sum())


@dataclass
class Pools:
    """The features episodes are made of: support [N, D], and query [M, D] where it is another data set.

    Raises DataError where a feature is not a finite number.
    """

    support: Tensor
    query_pool: Tensor | None = None

    def __post_init__(self) -> None:
        for pool in {id(p): p for p in (self.support, self.query)}.values():
            wrong = ~pool.isfinite().all(1)
            if wrong.any():
                first = int(wrong.nonzero()[0])
                raise DataError(
                    f"{int(wrong.sum())} of {len(pool)} images have features that are no finite numbers (the first is "
                    f"number {first}). Look at these images and at the backbone's precision (train.precision: fp32)."
                )

    @property
    def query(self) -> Tensor:
        return self.support if self.query_pool is None else self.query_pool

    def gram_pays(self, gathers: int) -> bool:
        """Whether all inner products at once are cheaper than gathering `gathers` images for episodes.

        Both costs are in proportion to the width of the features, so that it does not matter.
        """
        pairs = len(self.support) ** 2 + (0 if self.query_pool is None else len(self.support) * len(self.query))
        return pairs * 4 <= GRAM_MB << 20 and pairs <= PAIRS_A_GATHER * gathers

    def looked_up(self, head: EpisodeHead, episodes: int, supports: int, queries: int) -> bool:
        """Whether `head` had better look inner products up than gather features.

        Heads that go by class means look at fewer numbers in the features, where there are many supports.
        """
        if not isinstance(head, GramHead) or not self.gram_pays(episodes * (supports + queries)):
            return False
        return head.most_supports is not None or 4 * supports <= self.support.shape[1]

    @cached_property
    def grams(self) -> tuple[Tensor, Tensor, Tensor]:
        """Support by support [N, N], query by support [M, N], and the queries' squared lengths [M]."""
        support = gram_matrix(self.support)
        cross = support if self.query_pool is None else self.query @ self.support.T
        return support, cross, self.query.square().sum(1)

    def look_up(self, index: EpisodeIndex, pairs: bool = True) -> EpisodeGram:
        """The inner products of episodes, out of the Gram matrices; `pairs`: those of all supports too."""
        support, cross, query_sq = self.grams
        s = index.support.flatten(1).clamp(min=0)
        q = index.query.flatten(1).clamp(min=0)
        return EpisodeGram(
            cross=_entries(cross, q, s),
            support=_entries(support, s, s) if pairs else support[:0],
            query_sq=query_sq[q],
            labels=index.support_labels,
            ways=index.ways,
            mean_sq=None if pairs else _mean_lengths(support, index.support),
        )


def gram_matrix(x: Tensor, block: int = 256) -> Tensor:
    """x x^T [N, N] of x [N, D]; only one half is multiplied out."""
    gram = x.new_empty(len(x), len(x))
    for at in range(0, len(x), block):
        rows = slice(at, at + block)
        gram[rows, : at + block] = x[rows] @ x[: at + block].T
        gram[:at, rows] = gram[rows, :at].T
    return gram


def _entries(matrix: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """matrix[rows_ti, columns_tj] as [T, i, j]. A matrix within GRAM_MB has places that fit into 32 bits."""
    rows, columns = rows.int(), columns.int()
    flat = (rows * matrix.shape[1]).unsqueeze(2) + columns.unsqueeze(1)
    return matrix.view(-1).index_select(0, flat.reshape(-1)).view(flat.shape)


def _mean_lengths(gram: Tensor, support: Tensor) -> Tensor:
    """Squared lengths [T, 1, W] of class means, for supports [T, W, K]: the mean of their inner products."""
    real = (support >= 0).flatten(0, 1).to(gram.dtype)  # [T W, K]
    images = support.flatten(0, 1).clamp(min=0)
    pairs = _entries(gram, images, images) * real.unsqueeze(1) * real.unsqueeze(2)
    return (pairs.sum((1, 2)) / real.sum(1).square()).view(len(support), 1, -1)


def evaluate(
    head: EpisodeHead,
    source: EpisodeSource,
    pools: Pools,
    *,
    memory_mb: float | None = None,
    use_gram: bool | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> EpisodeScores:
    """Scores `head` on all episodes of `source`.

    `memory_mb` bounds the working memory (None: what suits the device); `use_gram` forces the look-up of inner
    products on or off (None: where it pays). Raises StoppedByUser where `should_stop` says so between chunks.
    """
    began = time.perf_counter()
    sums = _Sums(len(source.classes), source.total, pools.support.device)
    on_cpu = pools.support.device.type == "cpu"
    memory = 2**20 * (memory_mb or (CPU_MB if on_cpu else GPU_MB))
    largest = 256 if on_cpu else 4096

    def by_gram(supports: int, queries: int) -> bool:
        if use_gram is None:
            return pools.looked_up(head, source.total, supports, queries)
        return use_gram and isinstance(head, GramHead)

    def chunk_size(ways: int, supports: int, queries: int) -> int:
        width = 0 if by_gram(supports, queries) else pools.support.shape[1]
        return max(1, min(largest, int(memory / _bytes(width, ways, supports, queries))))

    done, looked_up = 0, False
    with torch.no_grad():
        for numbers, drawn in source.chunks(chunk_size):
            if should_stop():
                raise StoppedByUser(f"Stopped after {done} of {source.total} episodes.")
            index = drawn.to(pools.support.device)
            looked_up = by_gram(index.ways * index.shots, index.query_labels.shape[1])
            if looked_up:
                scores = head.scores_from_gram(pools.look_up(index, head.needs_pairs))
            else:
                scores = head.scores(index.gather(pools.support, pools.query))
            sums.add(numbers, index, scores)
            done += len(numbers)
            progress(done, source.total)
    return sums.result(time.perf_counter() - began, "gram" if looked_up else "features")


def _bytes(width: int, ways: int, supports: int, queries: int) -> int:
    """Working memory of an episode: some copies of its features (if gathered), and of each kind of inner product."""
    features = 4 * width * (supports + queries + ways)
    products = 4 * (supports + queries) * (supports + queries) + 8 * queries * ways
    return 4 * (features + products)


class _Sums:
    """Adds up what the chunks give, on the device; one transfer at the end."""

    def __init__(self, classes: int, total: int, device: torch.device) -> None:
        self.classes = classes
        self.accuracy = torch.empty(total, device=device)
        kept = (classes, classes) if classes <= MOST_CONFUSED else (3, classes)
        self.counts = torch.zeros(kept, dtype=torch.int64, device=device)  # confusion; or asked, guessed, right
        self.queries = torch.zeros(BINS, 2, dtype=torch.int64, device=device)  # by bin: wrong, right
        self.confidence = torch.zeros(BINS, dtype=torch.float64, device=device)

    def add(self, numbers: np.ndarray, index: EpisodeIndex, scores: Tensor) -> None:
        highest, guess = scores.max(-1)
        if not highest.isfinite().all():
            raise DataError(
                "The head's scores are no finite numbers: the features are too large for it, or too far apart. "
                "Take one that brings them to unit length (params.normalize: l2, or fewshot/simpleshot)."
            )
        confidence = 1 / (scores - highest.unsqueeze(-1)).exp().sum(-1)  # the largest value of the softmax
        truth = index.query_labels
        real, right = truth >= 0, guess == truth
        self.accuracy[torch.from_numpy(numbers).to(scores.device)] = right.sum(1) / real.sum(1)

        truth, guess = index.classes.gather(1, truth.clamp(min=0)), index.classes.gather(1, guess)
        parts = (truth, guess, right, confidence)
        if real.all():  # picking by a mask is slow
            truth, guess, right, confidence = (part.flatten() for part in parts)
        else:
            truth, guess, right, confidence = (part[real] for part in parts)
        self._count(truth, guess, right)
        place = (confidence * BINS).long().clamp(max=BINS - 1)
        self.queries += (2 * place + right).bincount(minlength=2 * BINS).view(BINS, 2)
        self.confidence += place.bincount(confidence, minlength=BINS)

    def _count(self, truth: Tensor, guess: Tensor, right: Tensor) -> None:
        if len(self.counts) == self.classes:
            pairs = (truth * self.classes + guess).bincount(minlength=self.classes**2)
            self.counts += pairs.view(self.classes, -1)
        else:
            for row, seen in zip(self.counts, (truth, guess, truth[right]), strict=True):
                row += seen.bincount(minlength=self.classes)

    def result(self, seconds: float, by: str) -> EpisodeScores:
        counts = self.counts.cpu().numpy()
        confusion = counts if len(counts) == self.classes else None
        asked, guessed, right = counts if confusion is None else (counts.sum(1), counts.sum(0), counts.diagonal())
        wrong_and_right = self.queries.cpu().numpy()
        return EpisodeScores(
            accuracy=self.accuracy.cpu().numpy(),
            asked=asked,
            guessed=guessed,
            right=right,
            confusion=confusion,
            bins=np.stack([wrong_and_right.sum(1), self.confidence.cpu().numpy(), wrong_and_right[:, 1]]),
            seconds=seconds,
            by=by,
        )
