"""Joint geometrical and statistical alignment: one projection for each domain, close to each other."""

import numpy as np
from pydantic import Field

from adapters.align.base import Aligner, AlignParams
from adapters.align.classifiers import make_classifier
from adapters.align.eigen import largest_generalized, span
from adapters.align.projections import Linear, Projection
from studio.core.registry import register


class JgsaParams(AlignParams):
    dim: int = Field(30, ge=1, le=2048, description="dimensions of the common space")
    scatter: float = Field(0.1, ge=0, le=1e6, description="weight of the source's class scatter (beta)")
    variance: float = Field(1.0, gt=0, le=1e6, description="weight of the target's variance (mu)")
    closeness: float = Field(1.0, ge=0, le=1e6, description="weight of |A - B|^2 (lambda)")
    iterations: int = Field(10, ge=1, le=200, description="rounds of pseudo-labels at most")
    unit: bool = Field(False, description="bring aligned samples to length 1")


@register("align/jgsa")
class Jgsa(Aligner):
    """Target variance and source class scatter against distribution gap, within-class scatter and |A - B|.

    Zhang, Li, Ogunbona 2017, eq. 9-12. As in the authors' experiments the first pseudo-labels are the classifier's
    on unaligned samples, M = C M0 + sum_c Mc is divided by |C M0|, and columns w = [A; B] have w^T (denominator) w = 1,
    so that a direction weighs by what it is worth. Samples are first brought into the span of both domains, where
    n < d. They should have length 1 (`normalize` ends in unit): the weights are chosen for that scale.
    """

    title = "Joint geometrical and statistical alignment"
    paper = "Zhang, Li, Ogunbona 2017, Joint Geometrical and Statistical Alignment for Visual Domain Adaptation"
    Params = JgsaParams

    def align(self, xs: np.ndarray, ys: np.ndarray, xt: np.ndarray) -> tuple[np.ndarray, Projection]:
        basis = span(np.concatenate([xs, xt]))
        s, t = xs @ basis, xt @ basis
        wanted, fixed = self.scatters(s, ys, t)
        guesses = self._guess(s, ys, t)
        for _ in range(self.params.iterations):
            gaps = mean_gaps(s, ys, t, guesses, self.count)
            unwanted = fixed + gaps.T @ gaps / (self.count * (1 / len(s) + 1 / len(t)))
            directions = largest_generalized(wanted, unwanted, self.params.dim)
            source, target = (Linear(half, self.params.unit) for half in np.split(directions, 2))
            now = self._guess(source(s), ys, target(t))
            if np.array_equal(now, guesses):
                break
            guesses = now
        return source(s), Linear(basis @ target.matrix, self.params.unit)

    def scatters(self, s: np.ndarray, ys: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numerator and denominator [2d, 2d] of the quotient, the latter without M."""
        p, eye, spread = self.params, np.eye(s.shape[1]), t - t.mean(axis=0)
        between, within = class_scatter(s, ys, self.count), within_scatter(s, ys, self.count)
        zero = np.zeros_like(eye)
        wanted = np.block([[p.scatter * between, zero], [zero, p.variance * (spread.T @ spread)]])
        near, far = p.closeness * eye, -p.closeness * eye
        unwanted = np.block([[near + p.scatter * within, far], [far, near + p.variance * eye]])
        return wanted, unwanted + 1e-9 * np.trace(unwanted) / len(unwanted) * np.eye(len(unwanted))

    def _guess(self, zs: np.ndarray, ys: np.ndarray, zt: np.ndarray) -> np.ndarray:
        classifier = make_classifier(self.params.classifier).fit(zs, ys, self.count)
        return classifier.predict_proba(zt).argmax(axis=1)


def mean_gaps(s: np.ndarray, ys: np.ndarray, t: np.ndarray, guesses: np.ndarray, classes: int) -> np.ndarray:
    """Rows [mean of s, -mean of t]: of the domains, times sqrt(C), and of each class that both have.

    Their outer products are M in features.
    """
    rows = [np.sqrt(classes) * np.concatenate([s.mean(axis=0), -t.mean(axis=0)])]
    for label in range(classes):
        if (ys == label).any() and (guesses == label).any():
            rows.append(np.concatenate([s[ys == label].mean(axis=0), -t[guesses == label].mean(axis=0)]))
    return np.stack(rows)


def class_scatter(x: np.ndarray, y: np.ndarray, classes: int) -> np.ndarray:
    """Sb = sum_c n_c (m_c - m)(m_c - m)^T."""
    gaps = [
        np.sqrt((y == label).sum()) * (x[y == label].mean(axis=0) - x.mean(axis=0))
        for label in range(classes)
        if (y == label).any()
    ]
    return np.stack(gaps).T @ np.stack(gaps)


def within_scatter(x: np.ndarray, y: np.ndarray, classes: int) -> np.ndarray:
    """Sw = sum_c sum_i (x_i - m_c)(x_i - m_c)^T."""
    centred = x - x.mean(axis=0)
    return centred.T @ centred - class_scatter(x, y, classes)
