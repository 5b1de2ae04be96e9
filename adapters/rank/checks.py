"""What every score and every gap asks of its arrays, said in sentences."""

import numpy as np

from studio.core.errors import DataError


def labelled(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features float64 [n, d] and labels 0..C-1 [n], every class present.

    Raises DataError for NaN, constant features, fewer than two classes, or a class of one image.
    """
    x, y = features(x, "features"), np.asarray(y)
    if y.shape != (len(x),):
        raise DataError(f"labels: found shape {y.shape}; expected one for each of the {len(x)} rows of features.")
    values, classes, counts = np.unique(y, return_inverse=True, return_counts=True)
    if len(values) < 2:
        raise DataError("labels: found one class only; a score needs at least two to tell apart.")
    if counts.min() < 2:
        alone = int((counts < 2).sum())
        raise DataError(
            f"labels: {alone} of {len(values)} classes have one image only; expected at least two images a class. "
            "Add images or leave these classes out."
        )
    return x, classes


def features(x: np.ndarray, what: str) -> np.ndarray:
    """Float64 [n, d]. Raises DataError naming `what` for a wrong shape, NaN or features that are all constant."""
    x = np.asarray(x, np.float64)
    if x.ndim != 2 or len(x) < 2 or x.shape[1] < 1:
        raise DataError(f"{what}: found an array of shape {x.shape}; expected at least two rows [n, d].")
    broken = ~np.isfinite(x).all(axis=1)
    if broken.any():
        raise DataError(f"{what}: {broken.sum()} of {len(x)} rows hold NaN or infinite values. Leave them out first.")
    if (x == x[0]).all():
        raise DataError(f"{what}: all {len(x)} rows are equal; features that never change say nothing.")
    return x


def pair(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Source [n, d] and target [m, d] as float64. Raises DataError where either is broken or the widths differ."""
    source, target = features(source, "source"), features(target, "target")
    if source.shape[1] != target.shape[1]:
        raise DataError(
            f"The source has {source.shape[1]} features, the target {target.shape[1]}; "
            "a gap is measured between features of one backbone."
        )
    return source, target


def posteriors(theta: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Source-class probabilities float64 [n, Z] with rows that sum to 1, and labels 0..C-1 [n]. Raises DataError."""
    theta, y = np.asarray(theta, np.float64), np.asarray(y)
    if theta.ndim != 2 or y.shape != (len(theta),) or len(theta) == 0:
        raise DataError(f"posteriors: found shapes {theta.shape} and {y.shape}; expected [n, Z] and labels [n].")
    if not np.isfinite(theta).all() or theta.min() < 0 or np.abs(theta.sum(axis=1) - 1).max() > 1e-3:
        raise DataError("posteriors: expected probabilities, each row summing to 1, found other values or NaN.")
    values, classes = np.unique(y, return_inverse=True)
    if len(values) < 2:
        raise DataError("labels: found one class only; a score needs at least two to tell apart.")
    return theta, classes
