"""Which labels are likely wrong: confident learning, on the answers of classifiers that did not see the label.

Northcutt, Jiang, Chuang 2021, Confident Learning: Estimating Uncertainty in Dataset Labels (JAIR 70). With p(j|x) the
out-of-fold probability that image x is of class j, and l(x) its label:
    t_j    = mean of p(j|x) over the images labelled j                                            (eq. 2)
    C[i,j] = number of images labelled i whose most probable class among those with p(j|x) >= t_j is j   (eq. 1)
What is counted off the diagonal of C is likely wrong (section 3.2, method C_confusion); the most likely first, by the
normalized margin p(l(x)|x) - max_{j != l(x)} p(j|x), lowest first.
"""

from collections.abc import Callable

import numpy as np

FOLDS = 5
Classifier = Callable[[np.ndarray, np.ndarray, int], np.ndarray]  # features, labels (-1: none), C -> [N, C]


def thresholds(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """t [C] of eq. 2; infinite for a class without labels."""
    classes = probabilities.shape[1]
    return np.array([probabilities[labels == j, j].mean() if (labels == j).any() else np.inf for j in range(classes)])


def confident_classes(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The class int64 [N] that each image is counted under in eq. 1; -1 where no class reaches its threshold."""
    above = probabilities >= thresholds(labels, probabilities) - 1e-12
    best = np.where(above, probabilities, -1.0).argmax(axis=1)
    return np.where(above.any(axis=1), best, -1)


def confident_joint(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """C int64 [C, C] of eq. 1: rows are labels, columns the classes they are counted under."""
    classes = probabilities.shape[1]
    counted = confident_classes(labels, probabilities)
    joint = np.zeros((classes, classes), np.int64)
    np.add.at(joint, (labels[counted >= 0], counted[counted >= 0]), 1)
    return joint


def likely_wrong(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Rows int64 of the labels [N] that are likely wrong, the likeliest first."""
    counted = confident_classes(labels, probabilities)
    rows = np.flatnonzero((counted >= 0) & (counted != labels))
    own = probabilities[rows, labels[rows]]
    others = probabilities[rows].copy()
    others[np.arange(len(rows)), labels[rows]] = -np.inf
    return rows[np.argsort(own - others.max(axis=1, initial=-np.inf), kind="stable")]


def out_of_fold(
    features: np.ndarray, labels: np.ndarray, classes: int, classifier: Classifier, seed: int = 0, folds: int = FOLDS
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the images that can be judged, and their probabilities float64 [M, C] by classifiers without them.

    Each class is dealt out over the folds in turn. A class with a single image can't be judged, and takes no part.
    """
    rng = np.random.default_rng(seed)
    counts = np.bincount(labels, minlength=classes)
    rows = np.flatnonzero(counts[labels] > 1)
    if len(np.unique(labels[rows])) < 2:
        return np.empty(0, np.int64), np.empty((0, classes))
    fold = np.empty(len(labels), np.int64)
    for number in np.unique(labels[rows]):
        members = rng.permutation(rows[labels[rows] == number])
        fold[members] = np.arange(len(members)) % folds
    out = np.empty((len(rows), classes))
    for number in range(folds):
        left_out = fold[rows] == number
        if left_out.any():
            taught = np.where(left_out, -1, labels[rows])
            out[left_out] = classifier(features[rows], taught, classes)[left_out]
    return rows, out
