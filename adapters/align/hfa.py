"""Heterogeneous feature augmentation: source and target of different dimension in one common, learned metric."""

import numpy as np
from pydantic import Field

from adapters.align.base import FewLabels, HeterogeneousParams
from adapters.align.classifiers import LinearClassifier
from adapters.align.projections import Identity
from studio.core.registry import register


class HfaParams(HeterogeneousParams):
    trace: float = Field(10.0, gt=0, le=1e6, description="largest trace of the metric H (lambda)")
    cost: float = Field(1.0, gt=0, le=1e6, description="C of the SVM")
    steps: int = Field(10, ge=1, le=1000, description="steps of H")


@register("align/hfa")
class Hfa(FewLabels):
    """Samples become [P x; x; 0] and [Q x; 0; x]; SVM and H = [P, Q]^T [P, Q] are learned together.

    Duan, Xu, Tsang 2012, eq. 4-10, with the linear kernel: min over H >= 0, tr H <= lambda of
    max over a of sum a - 1/2 (a y)^T Z (H + I) Z^T (a y), Z the block-diagonal samples. One H is shared by
    all classes (their objectives are added); it is what ties the domains. Were H learned for one class alone, the
    problem would have a closed form, an SVM on (1 + lambda) Z Z^T, in which source and target share nothing but the
    bias. The shared H has none: it moves 2 / (t + 2) of the way to its best for fixed a, which is lambda v v^T with v
    the first eigenvector of Z^T (sum of (a y)(a y)^T) Z. The problem is convex in H, so these steps (Frank and
    Wolfe) converge, and they keep H positive and of trace lambda.
    """

    title = "Heterogeneous feature augmentation"
    paper = "Duan, Xu, Tsang 2012, Learning with Augmented Features for Heterogeneous Domain Adaptation"
    Params = HfaParams
    heterogeneous = True

    def solve(self, xs: np.ndarray, ys: np.ndarray, xt: np.ndarray) -> None:
        source, target = _scaled(xs), _scaled(xt)
        x = np.zeros((len(xs) + len(self.few), xs.shape[1] + xt.shape[1]))
        x[: len(xs), : xs.shape[1]], x[len(xs) :, xs.shape[1] :] = xs / source, xt[self.few] / target
        y = np.concatenate([ys, self.few_labels])
        roots = np.zeros((x.shape[1], 0))  # H = roots roots^T
        for step in range(self.params.steps):
            duals, bias = self._duals(x, roots, y)
            moved = x.T @ duals  # [d, C]
            left, _, _ = np.linalg.svd(moved, full_matrices=False)
            pace = 2.0 / (step + 2.0)
            fresh = np.sqrt(self.params.trace * pace) * left[:, :1]
            roots = np.concatenate([np.sqrt(1.0 - pace) * roots, fresh], axis=1)
        duals, bias = self._duals(x, roots, y)
        moved = x.T @ duals
        weight = moved + roots @ (roots.T @ moved)
        self.projection, self.classifier = Identity(), LinearClassifier()
        self.classifier.weight, self.classifier.bias = weight[xs.shape[1] :] / target, bias

    def _duals(self, x: np.ndarray, roots: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """a y [n, C] and biases [C] of one SVM a class, target samples weighing as much as source samples in all."""
        from sklearn.svm import SVC

        seen = x @ roots
        gram = x @ x.T + seen @ seen.T
        duals, bias = np.zeros((len(x), self.count)), np.full(self.count, -1e6)
        few = len(self.few)
        weights = np.repeat([1.0, max(1.0, (len(x) - few) / few)], [len(x) - few, few])
        for label in np.unique(y):
            model = SVC(kernel="precomputed", C=self.params.cost).fit(gram, y == label, sample_weight=weights)
            duals[model.support_, label] = model.dual_coef_[0]
            bias[label] = model.intercept_[0]
        return duals, bias


def _scaled(x: np.ndarray) -> float:
    return float(np.sqrt((x * x).sum(axis=1).mean())) or 1.0
