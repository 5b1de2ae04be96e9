"""The k-reciprocal Jaccard distance: how much of their neighbourhoods two images share. Zhong et al. 2017.

An image is described by who its neighbours are: a sparse row of weights, the neighbourhood. Rows are found and
compared a block at a time, so that no matrix of all pairs is ever held.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_matrix, vstack
from torch import Tensor
from torch.nn.functional import normalize

CELLS = 1 << 24  # of a block of dense distances: 64 MB in float32
CACHED = 1 << 18  # weights compared, and their sums held, at once: more would leave the processor's cache


@dataclass(frozen=True)
class Nearest:
    """Of each image its nearest ones, itself first: indices [N, K]; and its distance to the farthest of all [N]."""

    indices: np.ndarray
    farthest: np.ndarray


def neighbourhoods(
    features: Tensor, k1: int = 30, k2: int = 6, relative: bool = False, device: str = "cpu"
) -> csr_matrix:
    """The weights [N, N] of each image's neighbours; a row sums to 1. Zhong et al. 2017, eq. 3-5, 7 and 11.

    features [N, D] of any length; distances are squared Euclidean between unit vectors, 0..4. A neighbour weighs
    exp(-distance); `relative`: distances are divided by the row's largest, as for re-ranking. `k1` neighbours beside
    the image itself are looked at, rows are averaged over the `k2` nearest, the image itself counted.
    """
    unit = normalize(features, dim=1)
    nearest = find_nearest(unit, max(k1 + 1, k2), device)
    reciprocal = _expanded(nearest.indices, k1)
    weights = weighted(unit, reciprocal, nearest.farthest if relative else None)
    return weights if k2 <= 1 else _graph(nearest.indices[:, :k2], weights.dtype) @ weights / min(k2, len(unit))


def jaccard(rows: csr_matrix, columns: csr_matrix) -> np.ndarray:
    """Distances [R, C], 0..1, between neighbourhoods [R, N] and [C, N]: eq. 10 with rows that sum to 1."""
    shape = rows.shape[0], columns.shape[0]
    distances = np.ones(shape, rows.dtype)
    for start, block in _blocks(rows, columns.tocsc()):
        distances[start : start + len(block)] = _from_overlap(block)
    return distances


def jaccard_within(rows: csr_matrix, radius: float) -> csr_matrix:
    """Distances [N, N] of neighbourhoods to each other that are at most `radius` < 1; the others are not stored."""
    parts = [csr_matrix((0, rows.shape[0]), dtype=rows.dtype)]
    for _, block in _blocks(rows, rows.tocsc()):
        distances = _from_overlap(block)
        line, column = np.nonzero(distances <= radius)
        ends = np.searchsorted(line, np.arange(len(block) + 1))
        parts.append(csr_matrix((distances[line, column].astype(rows.dtype), column, ends), shape=block.shape))
    return vstack(parts, format="csr")


def jaccard_distance(features: Tensor, k1: int = 30, k2: int = 6, device: str = "cpu") -> np.ndarray:
    """All distances [N, N] between features [N, D]; for sets of which that many fit into memory."""
    rows = neighbourhoods(features, k1, k2, device=device)
    return jaccard(rows, rows)


def find_nearest(unit: Tensor, count: int, device: str = "cpu") -> Nearest:
    """The `count` nearest, itself first, of unit vectors [N, D]; found in blocks on `device`."""
    held, count = unit.to(device), min(count, len(unit))
    block = max(1, CELLS // len(unit))
    indices, farthest = [], []
    for start in range(0, len(unit), block):
        distances = 2 - 2 * held[start : start + block] @ held.T
        farthest.append(distances.amax(dim=1).cpu())
        own = torch.arange(len(distances), device=distances.device)
        distances[own, start + own] = -1  # a copy of it may be as near
        indices.append(distances.topk(count, dim=1, largest=False).indices.cpu())
    return Nearest(torch.cat(indices).numpy(), torch.cat(farthest).numpy())


def _expanded(indices: np.ndarray, k1: int) -> csr_matrix:
    """Who is a neighbour of whom [N, N]: the k-reciprocal sets R(p, k), enlarged by those of their members (eq. 5)."""
    whole, half = (_reciprocal(indices[:, : k + 1]) for k in (k1, round(k1 / 2)))
    sizes = np.diff(half.indptr)
    parts = [csr_matrix((0, len(indices)), dtype=np.float32)]
    step = max(1, CELLS // max(1, k1 * k1))
    for start in range(0, len(indices), step):
        own = whole[start : start + step]
        shared = (own @ half.T).multiply(own).tocsr()  # |R(p, k) and R(q, k/2)| for q in R(p, k)
        shared.data = (shared.data > 2 / 3 * sizes[shared.indices]).astype(np.float32)
        parts.append(own + shared @ half)
    return vstack(parts, format="csr")


def _reciprocal(indices: np.ndarray) -> csr_matrix:
    """R(p, k): the neighbours [N, k] that have it among theirs as well."""
    graph = _graph(indices)
    return graph.multiply(graph.T).tocsr()


def _graph(indices: np.ndarray, dtype: type = np.float32) -> csr_matrix:
    """1 [N, N] where `indices` [N, k] point."""
    count, each = indices.shape
    ends = np.arange(0, count * each + 1, each)
    return csr_matrix((np.ones(count * each, dtype), indices.reshape(-1), ends), shape=(count, count))


def weighted(unit: Tensor, neighbours: csr_matrix, farthest: np.ndarray | None = None) -> csr_matrix:
    """exp(-distance) where `neighbours` [N, N] are, and rows that sum to 1 (eq. 7).

    unit vectors [N, D]; `farthest` [N]: distances are divided by it.
    """
    line = np.repeat(np.arange(len(unit)), np.diff(neighbours.indptr))
    parts = []
    step = max(1, CELLS // unit.shape[1])
    for start in range(0, len(line), step):
        ends = line[start : start + step], neighbours.indices[start : start + step]
        parts.append(2 - 2 * (unit[ends[0]] * unit[ends[1]]).sum(dim=1))
    distances = torch.cat(parts).cpu().numpy()
    values = np.exp(-distances / (1 if farthest is None else np.maximum(farthest, 1e-12)[line]))
    values /= np.bincount(line, values, len(unit)).astype(values.dtype)[line]
    return csr_matrix((values, neighbours.indices, neighbours.indptr), shape=neighbours.shape)


def _blocks(rows: csr_matrix, columns: "csr_matrix") -> Iterator[tuple[int, np.ndarray]]:
    """The sums of least weights [b, C] of rows with all columns (as CSC), and where each block begins."""
    counts = np.diff(columns.indptr)
    work = np.concatenate([[0], np.cumsum(counts[rows.indices])])[rows.indptr]  # pairs before each row
    most = max(1, CACHED // max(1, columns.shape[0]))
    start, total = 0, rows.shape[0]
    while start < total:
        stop = int(np.searchsorted(work, work[start] + CACHED, side="right")) - 1
        stop = min(max(stop, start + 1), start + most, total)
        yield start, _overlap(rows[start:stop], columns, counts)
        start = stop


def _overlap(rows: csr_matrix, columns: "csr_matrix", counts: np.ndarray) -> np.ndarray:
    """The sum over neighbours of the lesser of both weights, [b, C]."""
    repeats = counts[rows.indices]
    line = np.repeat(np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr)), repeats)
    shifts = columns.indptr[rows.indices] - np.concatenate([[0], np.cumsum(repeats)[:-1]])
    places = np.arange(len(line)) + np.repeat(shifts, repeats)  # of a neighbour's column, all entries
    least = np.minimum(np.repeat(rows.data, repeats), columns.data[places])
    cells = line * columns.shape[0] + columns.indices[places]
    sums = np.bincount(cells, least, rows.shape[0] * columns.shape[0])
    return sums.reshape(rows.shape[0], columns.shape[0])


def _from_overlap(least: np.ndarray) -> np.ndarray:
    """1 - sum of least / sum of greatest, which is 2 less the former."""
    return np.maximum(1 - least / (2 - least), 0)
