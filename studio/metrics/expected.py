"""What a classifier will have on images not yet seen, from images that were held out of it: a number and an interval.

Images of one class stand for the images of that class to come, and how often a class will come is itself only
estimated. The interval is Wilson's (1927), for fewer images than were held out where these were not independent:
`trust` is the share of them that counts.
"""

from math import ceil, floor

import numpy as np

from studio.metrics.intervals import share_ci95

#: images that other folds learned from, or by which an epoch was chosen, count for half as many independent ones
#: (half makes the interval hold on draws of thirty photos; benchmarks/expected_accuracy.py)
SHARED, INDEPENDENT = 0.5, 1.0
#: fewer images than this say nothing beyond whole percents
MANY = 1000


def expected_accuracy(
    counts: np.ndarray, rates: np.ndarray, trust: float = SHARED, gain: float = 0.0
) -> dict[str, float]:
    """`expected_accuracy`, `expected_accuracy_low` and `expected_accuracy_high`, each 0..1.

    counts [C]: images of each class that were held out, and rates [C]: the share of them that was named right; NaN
    where a class had none to spare, which may turn out either way. `gain` is what is known to be missing because the
    classifier that was judged had learned from fewer images. The bounds are rounded outwards.
    """
    counts, rates = np.asarray(counts, np.float64), np.asarray(rates, np.float64)
    shares, known = class_shares(counts), ~np.isnan(rates)
    unknown = float(shares[~known].sum())
    right = float(np.clip((shares * rates)[known].sum() + gain * (1 - unknown), 0.0, 1.0 - unknown))
    present = counts > 0
    images = 1.0 / float((shares[present] ** 2 / counts[present]).sum())
    low, high = share_ci95(right, trust * images)[0], share_ci95(right + unknown, trust * images)[1]
    step = 100 if images < MANY else 1000
    low, high = max(0.0, floor(low * step + 1e-9) / step), min(1.0, ceil(high * step - 1e-9) / step)
    middle = ((right + unknown / 2) * images + 0.5) / (images + 1)  # Jeffreys: never 1, however few images
    return {
        "expected_accuracy": float(np.clip(middle, low, high)),
        "expected_accuracy_low": low,
        "expected_accuracy_high": high,
    }


def expected_from_held_out(labels: np.ndarray, guesses: np.ndarray, classes: int, trust: float) -> dict[str, float]:
    """As `expected_accuracy`, from labels [N] and guesses [N] of held-out images; {} where none has a label."""
    known = labels >= 0
    if not known.any():
        return {}
    counts = np.bincount(labels[known], minlength=classes)
    hits = np.bincount(labels[known], labels[known] == guesses[known], classes)
    kept = counts > 0  # a class without an image is no class of these images
    return expected_accuracy(counts[kept], hits[kept] / counts[kept], trust)


def class_shares(counts: np.ndarray) -> np.ndarray:
    """How often each class will come [C], from the images of it that there are: between counts and all alike.

    Counts that spread no more than chance alone would have it say nothing; the more they do, the more they are taken
    at their word (the shrinkage of James and Stein 1961).
    """
    counts = np.asarray(counts, np.float64)
    spread = counts.var(ddof=1) if len(counts) > 1 else 0.0
    belief = max(0.0, 1.0 - counts.mean() / spread) if spread > 0 else 0.0
    return belief * counts / counts.sum() + (1.0 - belief) / len(counts)
