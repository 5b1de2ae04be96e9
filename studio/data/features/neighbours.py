"""The rows of a matrix that are nearest to others: exactly, block by block, or through an index where there are many.

One small face, `Neighbours`. `nearest_in(rows)` chooses: exact search up to `MANY` rows or where faiss is not there, an
index beyond. Distances are squared euclidean ones either way, and computed in full: an index only says which rows are
worth it. For vectors of length one, the cosine is 1 - distance / 2.
"""

import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from studio.store.files import clear_errors, replace, temp_name

MANY = 50_000  # rows from which an index pays; below, exact search takes milliseconds
CELLS = 1 << 23  # numbers held at once: 32 MB in float32
LISTS = 4  # of an index, by the square root of its rows
TRAINED_ON = 40  # rows a list that its centre is learned from
ROUNDS = 10  # in which centres are learned
PROBED = 64  # lists that a query looks into
CANDIDATES = 8  # times as many as asked for, whose distances are computed in full


class Rows(Protocol):
    """A matrix [N, D] that need not be in memory: an array, a memory-mapped file, the features of an embedding."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, key: Any) -> np.ndarray:
        """Rows float [n, D] of a slice, or of indices int64 [n]."""


class Neighbours(Protocol):
    """The nearest of a fixed set of rows."""

    def search(self, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Of each of queries [Q, D] the nearest rows int64 [Q, k] and squared distances float32 [Q, k], nearest first.

        k is `count`, or all rows where there are fewer.
        """


def nearest_in(rows: Rows, folder: Path | None = None) -> Neighbours:
    """Exact where `rows` are few or faiss is not there; else an index, kept in `folder` so that it is built once."""
    if len(rows) <= MANY or importlib.util.find_spec("faiss") is None:
        return Exact(rows)
    return Approximate(rows, folder)


class Exact:
    """Every row is looked at; few of them are in memory at a time."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def search(self, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        queries = np.asarray(queries, np.float32)
        best, far = np.zeros((len(queries), 0), np.int64), np.zeros((len(queries), 0), np.float32)
        for first, block in _blocks(self.rows, max(len(queries), self.rows.shape[1])):
            distances = (block**2).sum(1) - 2 * queries @ block.T  # a query's own length changes no order
            best = np.concatenate([best, np.tile(np.arange(first, first + len(block)), (len(queries), 1))], axis=1)
            far = np.concatenate([far, distances], axis=1)
            kept = _smallest(far, count)
            best, far = np.take_along_axis(best, kept, 1), np.take_along_axis(far, kept, 1)
        return _ranked(self.rows, queries, best, count)


class Approximate:
    """Rows lie in lists around centres, and a query looks into the lists whose centres are nearest.

    An inverted file with 8 bits a number (faiss, MIT), after Jegou, Douze, Schmid 2011, Product Quantization for
    Nearest Neighbor Search, section IV. It takes D bytes of memory a row.
    """

    def __init__(self, rows: Rows, folder: Path | None = None) -> None:
        """Opens the index of these rows in `folder`; where it is not there, builds it and writes it.

        Raises StoreError where the disk refuses.
        """
        self.rows = rows
        file = folder / f"{_fingerprint(rows)}.faiss" if folder is not None else None
        self.index = _opened(file) or _built(rows)
        if file is not None and not file.exists():
            _write(self.index, file)
        self.index.nprobe = PROBED

    def search(self, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        queries = np.ascontiguousarray(queries, np.float32)
        count = min(count, len(self.rows))
        _, candidates = self.index.search(queries, min(CANDIDATES * count, len(self.rows)))
        rows, distances = _ranked(self.rows, queries, candidates, count)
        short = np.flatnonzero((candidates >= 0).sum(1) < count)  # the lists that were looked into held too few
        if len(short):
            rows[short], distances[short] = Exact(self.rows).search(queries[short], count)
        return rows, distances


def _blocks(rows: Rows, width: int) -> Iterator[tuple[int, np.ndarray]]:
    """The first row of each block, and its rows float32; `width` numbers are held for each."""
    step = max(1, CELLS // max(1, width))
    for first in range(0, len(rows), step):
        yield first, np.asarray(rows[first : first + step], np.float32)


def _smallest(values: np.ndarray, count: int) -> np.ndarray:
    """Columns [Q, k] of the `count` smallest of each row, in any order."""
    if values.shape[1] <= count:
        return np.tile(np.arange(values.shape[1]), (len(values), 1))
    return np.argpartition(values, count - 1, axis=1)[:, :count]


def _ranked(rows: Rows, queries: np.ndarray, candidates: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` nearest of each query's candidates [Q, C] (-1 is none), by distances computed in full."""
    best, far = [np.zeros((0, min(count, candidates.shape[1])), np.int64)], []
    step = max(1, CELLS // max(1, candidates.shape[1] * queries.shape[1]))
    for first in range(0, len(queries), step):
        numbers = candidates[first : first + step]
        present = np.asarray(rows[np.maximum(numbers, 0).reshape(-1)], np.float32).reshape(
            *numbers.shape, queries.shape[1]
        )
        distances = np.square(present - queries[first : first + step, None]).sum(-1)
        distances[numbers < 0] = np.inf
        order = np.lexsort((numbers, distances))[:, :count]  # of equally near ones the first row comes first
        best.append(np.take_along_axis(numbers, order, 1))
        far.append(np.take_along_axis(distances, order, 1))
    return np.concatenate(best), np.concatenate(far) if far else np.zeros(best[0].shape, np.float32)


def _built(rows: Rows) -> Any:
    """An index that holds all rows; a part of them is in memory at a time."""
    import faiss

    count, dim = rows.shape
    lists = min(int(LISTS * count**0.5), max(1, count // TRAINED_ON))
    index = faiss.IndexIVFScalarQuantizer(faiss.IndexFlatL2(dim), dim, lists, faiss.ScalarQuantizer.QT_8bit)
    index.cp.niter, index.cp.seed = ROUNDS, 0
    sample = np.sort(np.random.default_rng(0).permutation(count)[: TRAINED_ON * lists])
    index.train(np.ascontiguousarray(rows[sample], np.float32))
    for _, block in _blocks(rows, dim):
        index.add(block)
    return index


def _fingerprint(rows: Rows) -> str:
    """Of their number and of some of them: other rows have another."""
    some = np.linspace(0, len(rows) - 1, 64).astype(np.int64)
    sample = np.ascontiguousarray(rows[some], np.float32)
    return hashlib.sha256(repr(rows.shape).encode() + sample.tobytes()).hexdigest()[:24]


def _opened(file: Path | None) -> Any:
    """The index in a file; None where there is none that can be read."""
    if file is None or not file.is_file():
        return None
    import faiss

    try:
        return faiss.read_index(str(file))
    except RuntimeError:  # damaged: built again
        file.unlink(missing_ok=True)
        return None


def _write(index: Any, file: Path) -> None:
    import faiss

    with clear_errors(file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)
        temp = temp_name(file)
        try:
            faiss.write_index(index, str(temp))
            replace(temp, file)
        except RuntimeError as error:  # faiss's word for a disk that refused
            raise OSError(str(error)) from error
        finally:
            temp.unlink(missing_ok=True)
