"""Images that are nearly the same: compressed again, resized, brightened, marked, but the same photo.

Two fingerprints at each image: a difference hash (64 bits) finds candidates fast, and the correlation of small
grey copies confirms them. Measured on photos, cartoons, sketches and handwriting: of copies at JPEG
quality 20, at half size or of another shape 97 to 100 in 100 are found, and of 3,958 different images
none is taken for another (benchmarks/open_and_check.py). A crop of 5% on each side is not found.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

NEAR_BITS = 6  # of 64, in which the hashes of near copies may differ
ALIKE = 0.98  # correlation of their small grey copies
SMALL = 16  # pixels of a side of these
FLAT = 2.0  # standard deviation (of 255) below which an image shows too little to be compared
PAIRS = 2**23  # compared at once, 8 bytes each


@dataclass(frozen=True)
class Fingerprint:
    """What of an image is compared: hash, 64 bits; small uint8 [SMALL * SMALL]."""

    hash: int
    small: np.ndarray


def fingerprint_of(image: Image.Image) -> Fingerprint:
    """A look at an RGB image of any size."""
    grey = image.convert("L")
    small = np.asarray(grey.resize((SMALL, SMALL), Image.Resampling.BOX)).reshape(-1)
    return Fingerprint(difference_hash(grey), small)


def difference_hash(grey: Image.Image) -> int:
    """64 bits: whether each of 8 x 8 cells is brighter than its right neighbour, of the image at 9 x 8."""
    cells = np.asarray(grey.convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    return int.from_bytes(np.packbits(cells[:, :-1] > cells[:, 1:]).tobytes(), "big")


def near_groups(fingerprints: list[Fingerprint]) -> list[list[int]]:
    """Groups of two or more indices that are linked by near likeness, each sorted.

    All pairs are compared, some 10 s for 100,000 images; the memory is 300 bytes an image beside that of PAIRS.
    """
    if len(fingerprints) < 2:
        return []
    hashes = np.array([fingerprint.hash for fingerprint in fingerprints], dtype=np.uint64)
    small = np.stack([fingerprint.small for fingerprint in fingerprints])
    telling = np.flatnonzero([row.astype(np.float32).std() >= FLAT for row in small])
    group = np.arange(len(fingerprints))
    rows = max(1, PAIRS // max(1, len(telling)))
    for start in range(0, len(telling), rows):
        first, second = _near_pairs(telling[start : start + rows], telling[start:], hashes, small)
        if len(first):
            group = _merged(group, first, second)
    members: dict[int, list[int]] = {}
    for index in telling.tolist():
        members.setdefault(int(group[index]), []).append(index)
    return sorted(rows for rows in members.values() if len(rows) > 1)


def _merged(group: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The group of each index, once those of `first` and `second` are joined pair by pair."""
    from scipy.sparse import coo_array  # slow to import, and seldom needed
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(first), bool), (group[first], group[second])), shape=(len(group), len(group)))
    return connected_components(links, directed=False)[1][group]


def _standardised(small: np.ndarray) -> np.ndarray:
    """Rows uint8 [N, SMALL * SMALL] as float32 whose products are correlations; none is flat."""
    values = small.astype(np.float32)
    return (values - values.mean(axis=1, keepdims=True)) / values.std(axis=1, keepdims=True) / SMALL


def _near_pairs(
    rows: np.ndarray, columns: np.ndarray, hashes: np.ndarray, small: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Index pairs of `rows` x `columns` (which begin with the rows) that are near, each once."""
    close = np.bitwise_count(hashes[rows, None] ^ hashes[None, columns]) <= NEAR_BITS
    close &= np.arange(len(columns))[None, :] > np.arange(len(rows))[:, None]
    some_rows, some_columns = np.flatnonzero(close.any(axis=1)), np.flatnonzero(close.any(axis=0))
    alike = _standardised(small[rows[some_rows]]) @ _standardised(small[columns[some_columns]]).T >= ALIKE
    at, to = np.nonzero(alike & close[np.ix_(some_rows, some_columns)])
    return rows[some_rows[at]], columns[some_columns[to]]
