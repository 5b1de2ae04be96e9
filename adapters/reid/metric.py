"""Metrics that are solved, not trained: matrices W [D, d] such that distances between x W tell individuals apart."""

import numpy as np

SMALL = 1e-6  # of the largest eigenvalue: smaller ones are rounding
PAIRS = 200_000  # of different individuals, drawn, that a covariance is estimated from


def principal(x: np.ndarray, most: int | None) -> np.ndarray:
    """The directions [D, d] along which centred x [N, D] varies most; d is at most `most`, and the rank of x."""
    _, sizes, turned = np.linalg.svd(x, full_matrices=False)
    able = int((sizes > SMALL**0.5 * sizes[0]).sum()) if len(sizes) and sizes[0] > 0 else 1
    return turned[: min(able, most or able)].T


def whitening(x: np.ndarray, labels: np.ndarray, shrinkage: float) -> np.ndarray:
    """W [D, D] by which what changes within individuals becomes equal in all directions: within-class whitening.

    x [N, D] centred, labels [N]. W W' is the inverse of the covariance within individuals, drawn towards a multiple of
    the identity by `shrinkage` 0..1. Hariharan et al. 2012, Discriminative Decorrelation, section 2; Mikolajczyk and
    Matas 2007, Improving descriptors by whitening, equation 4.
    """
    means = np.zeros((labels.max() + 1, x.shape[1]))
    np.add.at(means, labels, x)
    means /= np.maximum(np.bincount(labels), 1)[:, None]
    within = _covariance(x - means[labels])
    values, vectors = np.linalg.eigh(_shrunk(within, shrinkage))
    return vectors / np.sqrt(np.maximum(values, SMALL * values.max()))


def kissme(x: np.ndarray, labels: np.ndarray, shrinkage: float, seed: int) -> np.ndarray:
    """W [D, d] such that |x W - y W|^2 is the likelihood ratio of a pair being of different and of the same individual.

    M = inverse covariance of differences of the same individual - that of different ones; negative eigenvalues are left
    out. Koestinger et al. 2012, Large Scale Metric Learning from Equivalence Constraints, equations 7 to 16.
    """
    draw = np.random.default_rng(seed)
    same = _covariance(_same_differences(x, labels))
    first, second = draw.integers(len(x), size=(2, PAIRS))
    differ = labels[first] != labels[second]
    other = _covariance(x[first[differ]] - x[second[differ]])
    metric = np.linalg.inv(_shrunk(same, shrinkage)) - np.linalg.inv(_shrunk(other, shrinkage))
    values, vectors = np.linalg.eigh((metric + metric.T) / 2)
    kept = values > SMALL * max(values.max(), SMALL)
    return vectors[:, kept] * np.sqrt(values[kept]) if kept.any() else np.eye(x.shape[1])


def _same_differences(x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Differences of all pairs of each individual [M, D]; of one with many images, each with the 20 that follow it."""
    parts = [np.zeros((1, x.shape[1]))]
    for label in np.unique(labels):
        rows = x[labels == label]
        parts += [rows[step:] - rows[:-step] for step in range(1, min(len(rows), 21))]
    return np.concatenate(parts[1:] or parts)


def _covariance(differences: np.ndarray) -> np.ndarray:
    return differences.T @ differences / max(1, len(differences))


def _shrunk(covariance: np.ndarray, shrinkage: float) -> np.ndarray:
    """Drawn towards the identity times its mean eigenvalue."""
    mean = np.trace(covariance) / len(covariance) or 1.0
    return (1 - shrinkage) * covariance + max(shrinkage, SMALL) * mean * np.eye(len(covariance))
