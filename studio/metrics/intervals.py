"""Intervals: of a mean over episodes or seeds, of a share, of a paired difference."""

import math

import numpy as np

NORMAL = 1.959963984540054  # two-sided 95% point of the normal distribution
MANY = 100  # from here on Student's t is the normal distribution for all purposes


def mean_ci95(values: np.ndarray) -> tuple[float, float]:
    """Mean and half-width of its 95% interval; Student's t below 100 values, NaN half-width for one."""
    values = np.asarray(values, np.float64)
    if len(values) < 2:
        return float(values.mean()), float("nan")
    point = NORMAL
    if len(values) < MANY:
        from scipy.stats import t

        point = float(t.ppf(0.975, len(values) - 1))
    return float(values.mean()), float(point * values.std(ddof=1) / np.sqrt(len(values)))


def paired_difference(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Mean of first - second over the same episodes or seeds, and half-width of its 95% interval."""
    return mean_ci95(np.asarray(first, np.float64) - np.asarray(second, np.float64))


def wilson_ci95(hits: int, total: int) -> tuple[float, float]:
    """The 95% interval of a share. Wilson 1927; sound for small numbers and shares near 0 or 1."""
    return share_ci95(hits / total, total) if total else (0.0, 1.0)


def share_ci95(share: float, total: float) -> tuple[float, float]:
    """Wilson's interval of a share 0..1 that `total` images showed; `total` may be no whole number."""
    z2 = NORMAL**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = NORMAL * np.sqrt(share * (1 - share) / total + z2 / (4 * total**2)) / (1 + z2 / total)
    return float(centre - half), float(centre + half)


def ends(value: float, half: float | None, count: float | None = None) -> tuple[float, float] | None:
    """Ends of the 95% interval of a number with this half-width; None where nothing is known of it.

    A share 0..1 that `count` images or episodes showed never has an interval of no width: that of shares without a miss
    is Wilson's. Nor does it leave 0..1.
    """
    share = 0.0 <= value <= 1.0
    if half is None or not math.isfinite(half) or half <= 0:
        return share_ci95(value, count) if share and count else None
    low, high = value - half, value + half
    return (max(0.0, low), min(1.0, high)) if share else (low, high)
