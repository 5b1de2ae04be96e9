"""Adaptive SVM: the source's classifier plus a small correction learned from the few target labels."""

import numpy as np
from pydantic import Field

from adapters.align.base import FewLabels, FewLabelsParams
from adapters.align.classifiers import LinearClassifier
from adapters.align.projections import Identity
from studio.core.registry import register


class AsvmParams(FewLabelsParams):
    cost: float = Field(1.0, gt=0, le=1e6, description="C: how much the target's few labels count")


@register("align/asvm")
class AdaptiveSvm(FewLabels):
    """f = f_source + w.x with min |w|^2 / 2 + C sum hinge(y f), one class against the rest.

    Yang, Yan, Hauptmann 2007, eq. 4-7.
    """

    title = "Adaptive SVM"
    paper = "Yang, Yan, Hauptmann 2007, Cross-Domain Video Concept Detection Using Adaptive SVMs"
    Params = AsvmParams

    def solve(self, xs: np.ndarray, ys: np.ndarray, xt: np.ndarray) -> None:
        from sklearn.svm import LinearSVC

        scale = np.sqrt((xs * xs).sum(axis=1).mean()) or 1.0
        few = np.concatenate([xt[self.few] / scale, np.ones((len(self.few), 1))], axis=1)
        weight = np.zeros((xs.shape[1] + 1, self.count))
        weight[-1] = -1.0  # a class without source samples is rejected at first
        for label in np.unique(ys):
            model = LinearSVC(C=1.0, dual=len(xs) < xs.shape[1], tol=1e-3, random_state=0, max_iter=5000)
            model.fit(xs / scale, np.where(ys == label, 1, -1))
            weight[:-1, label], weight[-1, label] = model.coef_[0], model.intercept_[0]
        for label in range(self.count):
            signs = np.where(self.few_labels == label, 1.0, -1.0)
            weight[:, label] += few.T @ (signs * hinge_dual(few, signs, few @ weight[:, label], self.params.cost))
        self.projection, self.classifier = Identity(), LinearClassifier()
        self.classifier.weight, self.classifier.bias = weight[:-1] / scale, weight[-1]


def hinge_dual(x: np.ndarray, signs: np.ndarray, base: np.ndarray, cost: float, rounds: int = 200) -> np.ndarray:
    """a [n] in 0..cost: max sum_i a_i (1 - signs_i base_i) - |sum_i a_i signs_i x_i|^2 / 2, by coordinates.

    The correction is w = sum_i a_i signs_i x_i.
    """
    gram = (x @ x.T) * np.outer(signs, signs)
    aims, alpha = 1.0 - signs * base, np.zeros(len(x))
    curve = np.maximum(np.diag(gram), 1e-12)
    for _ in range(rounds):
        before = alpha.copy()
        for i in range(len(x)):
            alpha[i] = np.clip(alpha[i] + (aims[i] - gram[i] @ alpha) / curve[i], 0.0, cost)
        if np.abs(alpha - before).max() < 1e-6 * cost:
            break
    return alpha
