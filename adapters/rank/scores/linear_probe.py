"""A reference that learns: the accuracy of a linear classifier, cross-validated."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from adapters.rank.checks import labelled
from studio.data.splits import k_folds

FOLDS = 5
STRENGTH = 100.0  # inverse of the weight decay, for rows of mean squared length 1


def linear_probe(x: np.ndarray, y: np.ndarray, folds: int = FOLDS, seed: int = 0) -> float:
    """Accuracy 0..1 of logistic regression over stratified folds, features [n, d], labels [n].

    Features are centred and scaled by one number, both taken from the training folds, so that a rotation changes
    nothing. Raises DataError.
    """
    x, y = labelled(x, y)
    x = in_row_space(x)
    hits = 0
    with threadpool_limits(1):  # many small products: threads would wait for each other more than they work
        for train, held in k_folds(y, min(folds, int(np.bincount(y).min())), seed):
            centre = x[train].mean(axis=0)
            scale = np.sqrt(((x[train] - centre) ** 2).sum(axis=1).mean()) or 1.0
            model = LogisticRegression(C=STRENGTH, max_iter=1000).fit((x[train] - centre) / scale, y[train])
            hits += int((model.predict((x[held] - centre) / scale) == y[held]).sum())
    return hits / len(y)


def in_row_space(x: np.ndarray) -> np.ndarray:
    """x [n, d] in an orthonormal basis of its rows where n < d: the same inner products, fewer columns."""
    return x if len(x) >= x.shape[1] else np.linalg.qr(x.T, mode="r").T
