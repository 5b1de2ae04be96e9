"""Retrieval: at which rank the right ones of a gallery stand when a query asks; CMC, mAP, mINP, the open set.

The protocol of Market-1501 (Zheng et al. 2015): images of the query's own identity from its own camera take no part; a
query without a right one in the gallery is left out. Identities are int64, -1 for nobody, who is right for no query.
Of wrong ones at the very distance of a right one all stand before it: an embedding that tells nothing apart then scores
as badly as it should, in whatever order the gallery came. Distances are compared, never added: any monotonic kind will
do, and they come in blocks, so that no matrix of all pairs is held.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

#: rows of queries `[first, last)` -> distances float [last - first, G] to the gallery's columns, which may be changed
Distances = Callable[[int, int], np.ndarray]
CELLS = 1 << 24  # distances held at once: 64 MB in float32
NUMBERS = 1 << 22  # of a gallery that are brought to float32 at once: 16 MB


@dataclass(frozen=True)
class Seen:
    """Who is in each image and what took it: identities int64 [N], cameras int64 [N].

    An image whose camera is not known has a number that no other image has; it is the same in query and gallery.
    """

    identities: np.ndarray
    cameras: np.ndarray

    def __len__(self) -> int:
        return len(self.identities)

    def rows(self, chosen: np.ndarray) -> "Seen":
        return Seen(self.identities[chosen], self.cameras[chosen])


@dataclass(frozen=True)
class Ranking:
    """Of each query: the rank of the first and the last right one (from 1 on, 0 without one), how many there are, the
    average precision (NaN without one), and the distance to the nearest right and the nearest wrong one (inf without).
    """

    first: np.ndarray
    last: np.ndarray
    matches: np.ndarray
    precision: np.ndarray
    right: np.ndarray
    wrong: np.ndarray

    @property
    def counted(self) -> np.ndarray:
        """Queries with a right one in the gallery, bool [Q]."""
        return self.matches > 0

    def cmc(self, most: int = 50) -> np.ndarray:
        """Share of queries with a right one among the first 1, 2, ... `most`, float64 [most]."""
        first = self.first[self.counted]
        hits = np.bincount(np.minimum(first, most + 1), minlength=most + 2)[1 : most + 1]
        return np.cumsum(hits) / max(1, len(first))

    def rank(self, k: int) -> float:
        """Share of queries with a right one among the first `k`."""
        return float((self.first[self.counted] <= k).mean()) if self.counted.any() else float("nan")

    @property
    def map(self) -> float:
        """Mean over queries of the mean precision at each right one (no interpolation)."""
        return float(self.precision[self.counted].mean()) if self.counted.any() else float("nan")

    @property
    def minp(self) -> float:
        """Mean over queries of right ones / rank of the last of them. Ye et al. 2021, AGW, section 3.1."""
        counted = self.counted
        return float((self.matches[counted] / self.last[counted]).mean()) if counted.any() else float("nan")

    def detection(self, false_alarms: float | np.ndarray) -> np.ndarray:
        """Open set: share of queries that are found at rank 1 within the distance that lets in so many strangers.

        Each query asks twice: as itself, and as a stranger whose own images are taken out of the gallery; the false
        alarms are the strangers with someone within the distance. Phillips et al. 2011, section 2 (detection and
        identification rate); float64 like `false_alarms`, shares 0..1.
        """
        strangers = np.sort(self.wrong)
        allowed = np.floor(np.asarray(false_alarms, np.float64) * len(strangers) + 1e-9).astype(int)
        within = np.append(strangers, np.inf)[np.minimum(allowed, len(strangers))]  # distances below let in `allowed`
        counted = self.counted
        found = np.where(self.right < self.wrong, self.right, np.inf)[counted]
        return (found[:, None] < np.atleast_1d(within)).mean(axis=0).reshape(np.shape(false_alarms))


def rank_queries(distances: Distances, query: Seen, gallery: Seen, cells: int = CELLS) -> Ranking:
    """Ranks of the right ones for every query; at most about `cells` distances are held at once.

    `distances` are to the gallery in the order of `by_identity(gallery)`.
    """
    order = by_identity(gallery)
    known, cameras = gallery.identities[order], gallery.cameras[order]
    begins, ends = (np.searchsorted(known, query.identities, side) for side in ("left", "right"))
    nobody = query.identities < 0
    ends[nobody] = begins[nobody]
    count, step = len(query), max(1, cells // max(1, len(gallery)))
    first, last, matches = (np.zeros(count, np.int64) for _ in range(3))
    precision, right, wrong = np.full(count, np.nan), np.full(count, np.inf), np.full(count, np.inf)
    for start in range(0, count, step):
        block = distances(start, min(start + step, count))
        own = []
        for row in range(len(block)):
            place = slice(begins[start + row], ends[start + row])
            own.append(np.sort(block[row, place][cameras[place] != query.cameras[start + row]]))
            block[row, place] = np.inf
        block.sort(axis=1)
        if block.shape[1]:
            wrong[start : start + len(block)] = block[:, 0]
        for row, hits in enumerate(own, start=start):
            if len(hits):
                numbers = np.arange(1, len(hits) + 1)
                ranks = np.searchsorted(block[row - start], hits, side="right") + numbers
                first[row], last[row], matches[row] = ranks[0], ranks[-1], len(hits)
                precision[row], right[row] = (numbers / ranks).mean(), hits[0]
    return Ranking(first, last, matches, precision, right, wrong)


def by_identity(gallery: Seen) -> np.ndarray:
    """The order of the gallery in which the images of one identity stand together, int64 [G]."""
    return np.argsort(gallery.identities, kind="stable")


def joined(rankings: Sequence[Ranking]) -> Ranking:
    """The queries of several rankings as one, such as of several draws."""
    return Ranking(*(np.concatenate([getattr(each, name) for each in rankings]) for name in Ranking.__annotations__))


def one_each(gallery: Seen, draw: np.random.Generator) -> np.ndarray:
    """Rows of the gallery with one image of each identity and camera, drawn at random: the single-shot setting."""
    shuffled = draw.permutation(len(gallery))
    pairs = np.stack([gallery.identities, gallery.cameras], axis=1)[shuffled]
    return np.sort(shuffled[np.unique(pairs, axis=0, return_index=True)[1]])


def pooled(embeddings: np.ndarray, query: Seen) -> tuple[np.ndarray, Seen]:
    """The multi-query setting: the mean embedding of all queries of one identity and camera, and whose they are."""
    pairs = np.stack([query.identities, query.cameras], axis=1)
    _, chosen, place, counts = np.unique(pairs, axis=0, return_index=True, return_inverse=True, return_counts=True)
    means = np.zeros((len(chosen), embeddings.shape[1]))
    np.add.at(means, place.reshape(-1), embeddings)
    return (means / counts[:, None]).astype(embeddings.dtype), query.rows(chosen)


def euclidean(query: np.ndarray, gallery: np.ndarray) -> Distances:
    """Squared Euclidean distances between embeddings [Q, D] and [G, D], float32, a block of queries at a time.

    Of the gallery too a part is looked at at a time: it may be a memory-mapped file, of half precision.
    """
    step = max(1, NUMBERS // max(1, gallery.shape[1]))
    parts = [slice(start, start + step) for start in range(0, len(gallery), step)]
    lengths = np.zeros(len(gallery), np.float32)
    for part in parts:
        held = np.asarray(gallery[part], np.float32)
        lengths[part] = np.einsum("gd,gd->g", held, held)

    def block(first: int, last: int) -> np.ndarray:
        rows = np.asarray(query[first:last], np.float32)
        products = np.empty((len(rows), len(gallery)), np.float32)
        for part in parts:
            np.matmul(rows, np.asarray(gallery[part], np.float32).T, out=products[:, part])
        products *= -2
        products += lengths
        products += np.square(rows).sum(axis=1)[:, None]
        return np.maximum(products, 0, out=products)

    return block


def nearest(
    distances: Distances, query: Seen, gallery: Seen, count: int, rows: Iterable[int]
) -> tuple[np.ndarray, np.ndarray]:
    """For some queries the `count` nearest of the gallery that take part: indices [R, count], distances [R, count].

    `distances` are to the gallery in its own order. -1 and inf where there are fewer.
    """
    chosen = list(rows)
    indices = np.full((len(chosen), count), -1, np.int64)
    values = np.full((len(chosen), count), np.inf)
    for place, row in enumerate(chosen):
        line = distances(row, row + 1)[0]
        out = (gallery.identities == query.identities[row]) & (gallery.cameras == query.cameras[row])
        order = np.argsort(np.where(out, np.inf, line), kind="stable")[: min(count, len(line) - int(out.sum()))]
        indices[place, : len(order)], values[place, : len(order)] = order, line[order]
    return indices, values
