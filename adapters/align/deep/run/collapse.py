"""Collapse: a network that gives the whole target to a few classes, however sure of it."""

import numpy as np

FEW = 0.25  # of the classes


def classes_predicted(guesses: np.ndarray, classes: int) -> float:
    """How many classes predictions [M] are spread over: exp of the entropy of their shares, 1 to `classes`."""
    return spread(np.bincount(guesses, minlength=classes))


def spread(counts: np.ndarray) -> float:
    """How many classes counts [C] are spread over: exp of the entropy of their shares, 1 to C."""
    shares = counts[counts > 0] / max(1, counts.sum())
    return float(np.exp(-(shares * np.log(shares)).sum()))


def least_classes(classes: int, partial: bool = False) -> float:
    """Fewer predicted classes than this are a collapse; a target of some classes alone may have few."""
    return 1.05 if partial else max(1.05, FEW * classes)
