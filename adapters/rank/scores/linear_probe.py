"""A reference that learns: the accuracy of a linear classifier, cross-validated."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from adapters.rank.checks import labelled
from studio.data.splits import k_folds

FOLDS = 5


def linear_probe(x: np.ndarray, y: np.ndarray, folds: int = FOLDS, seed: int = 0) -> float:
    """Accuracy 0..1 of logistic regression over stratified folds, features [n, d], labels [n].

    Features are centred and scaled by one number, so that a rotation changes nothing. Raises DataError.
    """
    x, y = labelled(x, y)
    hits = 0
    for train, held in k_folds(y, min(folds, int(np.bincount(y).min())), seed):
        centre = x[train].mean(axis=0)
        scale = (x[train] - centre).std()
        model = LogisticRegression(max_iter=300).fit((x[train] - centre) / scale, y[train])
        hits += int((model.predict((x[held] - centre) / scale) == y[held]).sum())
    return hits / len(y)
