"""MMD: the distance of two domains' means in a kernel's feature space. Gretton et al. 2012."""

import numpy as np

from adapters.rank.checks import labelled, pair

SAMPLE = 2000  # rows of which the median distance is taken
BLOCK = 1024


def mmd(source: np.ndarray, target: np.ndarray, bandwidth: float | None = None) -> float:
    """Unbiased MMD^2 (eq. 3) of features [n, d] and [m, d] under exp(-|a - b|^2 / bandwidth).

    Around 0 where both come from one distribution (it may fall below), 2 at most. By default the bandwidth is
    the median squared distance of all rows. Raises DataError.
    """
    source, target = pair(source, target)
    bandwidth = bandwidth or median_distance(np.concatenate([source, target]))
    n, m = len(source), len(target)
    inside = (_kernel_sum(source, source, bandwidth) - n) / (n * (n - 1))
    inside += (_kernel_sum(target, target, bandwidth) - m) / (m * (m - 1))
    return float(inside - 2 * _kernel_sum(source, target, bandwidth) / (n * m))


def class_mmd(x: np.ndarray, y: np.ndarray, bandwidth: float) -> np.ndarray:
    """Unbiased MMD^2 [C] of each class against all others, features [n, d], labels 0..C-1 [n].

    One pass over the kernel serves all classes. Raises DataError.
    """
    x, y = labelled(x, y)
    member = np.eye(y.max() + 1)[y]
    sums = np.zeros((member.shape[1],) * 2)  # of the kernel between two classes
    for start in range(0, len(x), BLOCK):
        kernel = np.exp(-_squared_distances(x[start : start + BLOCK], x) / bandwidth)
        sums += member[start : start + BLOCK].T @ (kernel @ member)
    count, own, row = member.sum(axis=0), np.diag(sums), sums.sum(axis=1)
    rest = len(x) - count
    inside = (own - count) / (count * (count - 1)) + (sums.sum() - 2 * row + own - rest) / (rest * (rest - 1))
    return inside - 2 * (row - own) / (count * rest)


def median_distance(x: np.ndarray) -> float:
    """The median squared distance of two different rows of x [n, d]; of more than 2,000 rows, of an even sample."""
    if len(x) > SAMPLE:
        x = x[np.linspace(0, len(x) - 1, SAMPLE).round().astype(int)]
    distances = _squared_distances(x, x)[np.triu_indices(len(x), 1)]
    return float(np.median(distances)) or float(distances.mean())


def _kernel_sum(a: np.ndarray, b: np.ndarray, bandwidth: float) -> float:
    blocks = (a[start : start + BLOCK] for start in range(0, len(a), BLOCK))
    return float(sum(np.exp(-_squared_distances(block, b) / bandwidth).sum() for block in blocks))


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None, :]
    return np.maximum(squares - 2 * a @ b.T, 0.0)
