"""What can be learned at once from a few labels on frozen features: a committee of three, the proposer first.

Each takes features float32 [N, D] of unit length, labels int64 [N] (-1: none) in 0..C-1, and gives float64 [N, C].
"""

import numpy as np

SCALES = np.geomspace(1.0, 256.0, 25)  # by which similarities are sharpened; the likeliest is taken
NEIGHBOURS = 3


def committee(features: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """The answers float64 [3, N, C] of all three. Labels of two classes at least are there."""
    members = (prototypes, logistic, neighbours)
    return np.stack([member(features, labels, classes) for member in members])


def prototypes(features: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Softmax over minus the squared distance to the mean of each class. Snell et al. 2017, eq. 1 and 2.

    How sharp it is is chosen so that each labelled image, left out of its own mean, is as likely as can be. A class
    without an image has probability 0.
    """
    known = np.flatnonzero(labels >= 0)
    one_hot = np.eye(classes)[labels[known]]  # [L, C]
    counts = one_hot.sum(axis=0)
    sums = one_hot.T @ features[known].astype(np.float64)
    means = sums / np.maximum(counts, 1)[:, None]
    left_out = -_squares(features[known], means)  # [L, C]
    own = labels[known]
    others = np.maximum(counts[own] - 1, 1)[:, None]
    without = (sums[own] - features[known]) / others
    left_out[np.arange(len(known)), own] = -((features[known] - without) ** 2).sum(axis=1)
    left_out[:, counts == 0] = -np.inf
    fair = counts[own] > 1  # a class's only image has no mean without it
    scale = _likeliest(left_out[fair], own[fair]) if fair.any() else SCALES[len(SCALES) // 2]
    scores = -_squares(features, means)
    scores[:, counts == 0] = -np.inf
    return softmax(scale * scores)


def logistic(features: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Multinomial logistic regression with an L2 penalty, on features stretched to length sqrt(D)."""
    from sklearn.linear_model import LogisticRegression

    known, stretch = labels >= 0, np.sqrt(features.shape[1])
    model = LogisticRegression(C=0.01, max_iter=200)
    model.fit(features[known] * stretch, labels[known])
    out = np.zeros((len(features), classes))
    out[:, model.classes_] = model.predict_proba(features * stretch)
    return out


def neighbours(features: np.ndarray, labels: np.ndarray, classes: int, nearest: int = NEIGHBOURS) -> np.ndarray:
    """Shares of each class among the nearest labelled images, each counting one part of a class more: (n_c + 1/C)."""
    known = np.flatnonzero(labels >= 0)
    nearest = min(nearest, len(known))
    similar = features @ features[known].T
    closest = np.argpartition(-similar, nearest - 1, axis=1)[:, :nearest]  # [N, nearest]
    votes = np.eye(classes)[labels[known][closest]].sum(axis=1) + 1 / classes
    return votes / votes.sum(axis=1, keepdims=True)


def softmax(scores: np.ndarray) -> np.ndarray:
    """Along the last axis; minus infinity counts for nothing."""
    shifted = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def _likeliest(scores: np.ndarray, truth: np.ndarray) -> float:
    """The scale under which scores [L, C] make the true classes likeliest."""
    rows = np.arange(len(truth))
    likelihoods = [np.log(softmax(scale * scores)[rows, truth] + 1e-12).sum() for scale in SCALES]
    return float(SCALES[int(np.argmax(likelihoods))])


def _squares(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Squared distances [N, C]."""
    points = points.astype(np.float64)
    return (points**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1)[None] - 2 * points @ centres.T
