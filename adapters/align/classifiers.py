"""What is trained on aligned features: nearest neighbour, linear SVM, logistic regression."""

from typing import Any

import numpy as np

from adapters.align.kernels import squared_distances
from adapters.align.stored import Arrays, Stored

CHUNK = 2_000_000  # distances held at once
PAIRWISE = 5000  # samples up to which an SVM is trained for each pair of classes


class Classifier(Stored, numbered=("1nn", "linear", "svm", "kernel", "committee")):
    """`fit(x [n, d], y [n], classes, weights [n] or None)`, then probabilities [m, C]."""

    def fit(self, x: np.ndarray, y: np.ndarray, classes: int, weights: np.ndarray | None = None) -> "Classifier":
        raise NotImplementedError

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        raise NotImplementedError


class NearestNeighbour(Classifier, kind="1nn"):
    """The class of the nearest sample; probabilities fall with the distance to each class's nearest."""

    def fit(self, x: np.ndarray, y: np.ndarray, classes: int, weights: np.ndarray | None = None) -> "NearestNeighbour":
        self.x, self.y, self.classes = x, y, classes
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        rows = max(1, CHUNK // max(1, len(self.x)))
        nearest = np.concatenate([self._nearest(x[start : start + rows]) for start in range(0, len(x), rows)])
        scale = np.median(nearest[np.isfinite(nearest)]) or 1.0
        return softmax(-nearest / scale * 10.0)

    def _nearest(self, x: np.ndarray) -> np.ndarray:
        distances = squared_distances(x, self.x)
        nearest = np.full((len(x), self.classes), np.inf)
        for label in range(self.classes):
            members = self.y == label
            if members.any():
                nearest[:, label] = distances[:, members].min(axis=1)
        return nearest

    def arrays(self) -> Arrays:
        return {"classes": np.array([self.classes]), "x": self.x, "y": self.y}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "NearestNeighbour":
        return cls().fit(arrays["x"], arrays["y"], int(arrays["classes"][0]))


class LinearClassifier(Classifier, kind="linear"):
    """Scores x W + b; their softmax as probabilities."""

    weight: np.ndarray
    bias: np.ndarray

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        return softmax(x @ self.weight + self.bias)

    def arrays(self) -> Arrays:
        return {"weight": self.weight, "bias": self.bias}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "LinearClassifier":
        classifier = cls()
        classifier.weight, classifier.bias = arrays["weight"], arrays["bias"]
        return classifier

    def _take(self, model: Any, classes: int) -> "LinearClassifier":
        """Coefficients of a fitted scikit-learn model; classes without a sample are never predicted."""
        self.weight = np.zeros((model.coef_.shape[1], classes))
        self.bias = np.full(classes, -1e6)
        if len(model.classes_) == 2:
            low, high = model.classes_
            self.weight[:, high], self.bias[high] = model.coef_[0], model.intercept_[0]
            self.weight[:, low], self.bias[low] = -model.coef_[0], -model.intercept_[0]
        else:
            self.weight[:, model.classes_], self.bias[model.classes_] = model.coef_.T, model.intercept_
        return self


class Svm(Classifier, kind="svm"):
    """Linear SVM, C = 1 at a mean squared length of 1: one against one, beyond `PAIRWISE` samples against the rest."""

    def fit(self, x: np.ndarray, y: np.ndarray, classes: int, weights: np.ndarray | None = None) -> "Svm":
        from sklearn.svm import SVC, LinearSVC

        scale = np.sqrt(np.einsum("ij,ij->", x, x) / len(x)) or 1.0
        if (
            weights is not None and (weights == 0).any()
        ):  # libsvm leaves these out, and then counts support without them
            x, y, weights = x[weights > 0], y[weights > 0], weights[weights > 0]
        self.classes, present = classes, np.unique(y)
        if len(x) <= PAIRWISE:
            gram = x @ x.T  # made here: libsvm would make it number by number
            gram /= scale**2
            model = SVC(kernel="precomputed", C=1.0).fit(gram, y, sample_weight=weights)
            coefficients = one_against_one(model, x) / scale
            self.pairs = np.array([(i, j) for k, i in enumerate(present) for j in present[k + 1 :]])
            sign = -1.0 if len(present) == 2 else 1.0  # of two classes the sign favours the second
        else:
            model = LinearSVC(C=1.0, dual=False, random_state=0).fit(x / scale, y, sample_weight=weights)
            coefficients = model.coef_
            self.pairs = np.array([(label, -1) for label in present])
            if len(present) == 2:
                self.pairs = np.array([(present[1], present[0])])
            sign = 1.0
        self.weight, self.bias = sign * coefficients.T / scale, sign * np.asarray(model.intercept_)
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Softmax of the votes, margins break ties; each weighs less than one vote."""
        margins = x @ self.weight + self.bias
        won = (margins > 0) + 0.45 * np.tanh(margins / 2.0)
        scores = np.full((len(x), self.classes), -np.inf)
        scores[:, np.unique(self.pairs[self.pairs >= 0])] = 0.0
        for column, (left, right) in enumerate(self.pairs):
            if right < 0:
                scores[:, left] = margins[:, column]
            else:
                scores[:, left] += won[:, column]
                scores[:, right] += 1.0 - won[:, column]
        return softmax(scores)

    def arrays(self) -> Arrays:
        return {
            "classes": np.array([self.classes]), "weight": self.weight, "bias": self.bias, "pairs": self.pairs,
        }  # fmt: skip

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "Svm":
        classifier = cls()
        classifier.classes, classifier.pairs = int(arrays["classes"][0]), arrays["pairs"]
        classifier.weight, classifier.bias = arrays["weight"], arrays["bias"]
        return classifier


def one_against_one(model: Any, x: np.ndarray) -> np.ndarray:
    """Coefficients [pairs, d] of a fitted SVC whose precomputed kernel was x x^T: those of kernel="linear"."""
    ends = np.concatenate([[0], np.cumsum(model.n_support_)])
    parts = [slice(low, high) for low, high in zip(ends[:-1], ends[1:], strict=True)]
    pairs = [(i, j) for i in range(len(parts)) for j in range(i + 1, len(parts))]
    duals = np.zeros((len(pairs), ends[-1]))
    for row, (i, j) in zip(duals, pairs, strict=True):
        row[parts[i]], row[parts[j]] = model.dual_coef_[j - 1, parts[i]], model.dual_coef_[i, parts[j]]
    return duals @ x[model.support_]


class Logistic(LinearClassifier):
    """Multinomial logistic regression, C = 1."""

    def fit(self, x: np.ndarray, y: np.ndarray, classes: int, weights: np.ndarray | None = None) -> "Logistic":
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=1.0, max_iter=500).fit(x, y, sample_weight=weights)
        return self._take(model, classes)


def make_classifier(kind: str) -> Classifier:
    return {"1nn": NearestNeighbour, "svm": Svm, "logistic": Logistic}[kind]()


def softmax(scores: np.ndarray) -> np.ndarray:
    """Rows that sum to 1; -inf is probability 0."""
    scores = scores - scores.max(axis=1, keepdims=True)
    exp = np.exp(scores)
    return exp / exp.sum(axis=1, keepdims=True)
