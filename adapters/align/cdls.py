"""Cross-domain landmark selection: the source is mapped into the target's space, and only what fits there counts."""

import numpy as np
from pydantic import Field

from adapters.align.base import FewLabels, HeterogeneousParams
from adapters.align.classifiers import make_classifier
from adapters.align.eigen import principal_axes
from adapters.align.projections import Linear
from studio.core.registry import register


class CdlsParams(HeterogeneousParams):
    dim: int = Field(100, ge=1, le=4096, description="dimensions of the target's principal subspace")
    ridge: float = Field(0.5, gt=0, le=1e6, description="weight of the mapping's norm (lambda)")
    share: float = Field(0.5, gt=0, le=1, description="mean weight of the landmarks (delta)")
    iterations: int = Field(5, ge=1, le=200, description="rounds of mapping, pseudo-labels and landmarks")


@register("align/cdls")
class Cdls(FewLabels):
    """Mapping A of the source and landmark weights alpha, beta that match means as a whole and class by class.

    Tsai, Yeh, Wang 2016, eq. 2-8: A in closed form for fixed weights; weights in 0..1 of mean `share` a class
    by projected gradients for fixed A; an SVM on weighted source, labelled and pseudo-labelled target.
    """

    title = "Cross-domain landmark selection"
    paper = "Tsai, Yeh, Wang 2016, Learning Cross-Domain Landmarks for Heterogeneous Domain Adaptation"
    Params = CdlsParams
    heterogeneous = True

    def solve(self, xs: np.ndarray, ys: np.ndarray, xt: np.ndarray) -> None:
        params = self.params
        self.projection = Linear(principal_axes(xt, params.dim))
        t = self.projection(xt)
        xs, t_scale = xs / _length(xs), _length(t)
        t = t / t_scale
        self.projection.matrix = self.projection.matrix / t_scale
        free = np.setdiff1d(np.arange(len(xt)), self.few)
        alpha, beta = np.full(len(xs), params.share), np.full(len(free), params.share)
        guesses = make_classifier("svm").fit(t[self.few], self.few_labels, self.count).predict_proba(t[free])
        guesses = guesses.argmax(axis=1)
        for step in range(params.iterations):
            use = beta if step else np.full(len(free), 1e-3)  # the first mapping trusts the given labels
            mapping = self._mapping(xs, ys, alpha, t, free, guesses, use)
            z = xs @ mapping
            alpha, beta = self._landmarks(z, ys, t, free, guesses, alpha, beta)
            x = np.concatenate([z, t[self.few], t[free]])
            y = np.concatenate([ys, self.few_labels, guesses])
            few_weight = max(1.0, 0.5 * len(xs) / len(self.few))
            weights = np.concatenate([alpha, np.full(len(self.few), few_weight), beta * 0.5]) + 1e-3
            self.classifier = make_classifier("svm").fit(x, y, self.count, weights)
            now = self.classifier.predict_proba(t[free]).argmax(axis=1)
            if np.array_equal(now, guesses):
                break
            guesses = now

    def _mapping(
        self, xs: np.ndarray, ys: np.ndarray, alpha: np.ndarray, t: np.ndarray, free: np.ndarray, guesses: np.ndarray,
        beta: np.ndarray,
    ) -> np.ndarray:  # fmt: skip
        """A [ds, k] = argmin ridge |A|^2 + sum over the whole and the classes of |mean_s A - mean_t|^2."""
        rows, aims = [_mean(xs, alpha)], [_target_mean(t[self.few], t[free], beta)]
        for label in range(self.count):
            mine, few, guessed = ys == label, self.few[self.few_labels == label], guesses == label
            if mine.any() and (len(few) or guessed.any()):
                rows.append(_mean(xs[mine], alpha[mine]))
                aims.append(_target_mean(t[few], t[free[guessed]], beta[guessed]))
        rows, aims = np.stack(rows), np.stack(aims)
        gram = rows @ rows.T
        penalty = self.params.ridge * np.trace(gram) / len(gram) * 0.1
        return rows.T @ np.linalg.solve(gram + penalty * np.eye(len(gram)), aims)

    def _landmarks(
        self, z: np.ndarray, ys: np.ndarray, t: np.ndarray, free: np.ndarray, guesses: np.ndarray, alpha: np.ndarray,
        beta: np.ndarray, steps: int = 30,
    ) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
        """Weights that bring the class means of both sides together; those of a class keep their mean."""
        alpha, beta = alpha.copy(), beta.copy()
        for label in range(self.count):
            mine, guessed, few = ys == label, guesses == label, t[self.few[self.few_labels == label]]
            others = t[free[guessed]]
            if not mine.any() or len(few) + len(others) == 0:
                continue
            a, b = alpha[mine], beta[guessed]
            for _ in range(steps):
                gap = _mean(z[mine], a) - _target_mean(few, others, b)
                a = _bounded(a - z[mine] @ gap, self.params.share)
                if len(others):
                    b = _bounded(b + others @ gap, self.params.share)
            alpha[mine], beta[guessed] = a, b
        return alpha, beta


def _mean(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return weights @ x / max(weights.sum(), 1e-12)


def _target_mean(few: np.ndarray, free: np.ndarray, beta: np.ndarray) -> np.ndarray:
    return _mean(np.concatenate([few, free]), np.concatenate([np.ones(len(few)), beta]))


def _bounded(weights: np.ndarray, mean: float) -> np.ndarray:
    """The nearest weights in 0..1 with this mean, by bisection."""
    low, high = weights.min() - 1.0, weights.max()
    for _ in range(40):
        shift = (low + high) / 2
        if np.clip(weights - shift, 0.0, 1.0).mean() > mean:
            low = shift
        else:
            high = shift
    return np.clip(weights - high, 0.0, 1.0)


def _length(x: np.ndarray) -> float:
    return float(np.sqrt((x * x).sum(axis=1).mean())) or 1.0
