"""Accuracy, F1, confusion, per-class numbers.

Images without a label (-1) are left out of every number here.
"""

from typing import Any

import numpy as np

from studio.metrics.calibration import ece
from studio.metrics.intervals import wilson_ci95


def accuracy(labels: np.ndarray, guesses: np.ndarray) -> float:
    """Share of right guesses, 0..1; NaN where nothing has a label."""
    labels, guesses = _labelled(labels, guesses)
    return float((labels == guesses).mean()) if len(labels) else float("nan")


def confusion(labels: np.ndarray, guesses: np.ndarray, classes: int) -> np.ndarray:
    """Counts int64 [C, C]: row is the true class, column the guess."""
    labels, guesses = _labelled(labels, guesses)
    return np.bincount(labels * classes + guesses, minlength=classes * classes).reshape(classes, classes)


def scores(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F1 [C] of each class, 0 where they are undefined. matrix: counts [C, C]."""
    hits = np.diag(matrix).astype(np.float64)
    guessed, present = matrix.sum(axis=0), matrix.sum(axis=1)
    precision = np.divide(hits, guessed, out=np.zeros_like(hits), where=guessed > 0)
    recall = np.divide(hits, present, out=np.zeros_like(hits), where=present > 0)
    total = precision + recall
    f1 = np.divide(2 * precision * recall, total, out=np.zeros_like(hits), where=total > 0)
    return precision, recall, f1


def macro_f1(labels: np.ndarray, guesses: np.ndarray, classes: int) -> float:
    """Mean F1 over the classes that occur among labels or guesses (as scikit-learn has it); NaN where none does."""
    matrix = confusion(labels, guesses, classes)
    occurs = (matrix.sum(axis=0) + matrix.sum(axis=1)) > 0
    return float(scores(matrix)[2][occurs].mean()) if occurs.any() else float("nan")


def per_class(labels: np.ndarray, guesses: np.ndarray, classes: list[str]) -> list[list[Any]]:
    """A row a class: name, precision, recall, F1, images."""
    matrix = confusion(labels, guesses, len(classes))
    columns = (*scores(matrix), matrix.sum(axis=1))
    return [
        [name, round(float(p), 4), round(float(r), 4), round(float(f), 4), int(n)]
        for name, p, r, f, n in zip(classes, *columns, strict=True)
    ]


def classification_report(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """accuracy, accuracy_ci95 (half-width of Wilson's interval), macro_f1, ece, images.

    probabilities [N, C] with rows that sum to 1, labels [N].
    """
    guesses = probabilities.argmax(axis=1)
    known, right = _labelled(labels, guesses)
    low, high = wilson_ci95(int((known == right).sum()), len(known))
    return {
        "accuracy": accuracy(labels, guesses),
        "accuracy_ci95": (high - low) / 2,
        "macro_f1": macro_f1(labels, guesses, probabilities.shape[1]),
        "ece": ece(probabilities, labels),
        "images": len(known),
    }


def _labelled(labels: np.ndarray, guesses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels, guesses = np.asarray(labels, np.int64), np.asarray(guesses, np.int64)
    return labels[labels >= 0], guesses[labels >= 0]
