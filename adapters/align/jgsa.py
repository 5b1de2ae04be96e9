"""Joint geometrical and statistical alignment: one projection for each domain, close to each other."""

import numpy as np
from pydantic import Field

from adapters.align.base import Aligner, AlignParams
from adapters.align.classifiers import make_classifier
from adapters.align.eigen import largest_generalized, span
from adapters.align.mmd import class_vectors, frobenius, marginal_vector
from adapters.align.projections import Linear, Projection
from studio.core.registry import register


class JgsaParams(AlignParams):
    dim: int = Field(30, ge=1, le=2048, description="dimensions of the common space")
    scatter: float = Field(0.1, ge=0, le=1e6, description="weight of the source's class scatter (beta)")
    variance: float = Field(1.0, gt=0, le=1e6, description="weight of the target's variance (mu)")
    closeness: float = Field(1.0, ge=0, le=1e6, description="weight of |A - B|^2 (lambda)")
    iterations: int = Field(10, ge=1, le=200, description="rounds of pseudo-labels at most")
    unit: bool = Field(True, description="bring aligned samples to length 1")


@register("align/jgsa")
class Jgsa(Aligner):
    """Target variance and source class scatter against distribution gap, within-class scatter and |A - B|.

    Zhang, Li, Ogunbona 2017, eq. 9-12. M is scaled to Frobenius norm 1.
    Samples are first brought into the span of both domains, where n < d.
    """

    title = "Joint geometrical and statistical alignment"
    paper = "Zhang, Li, Ogunbona 2017, Joint Geometrical and Statistical Alignment for Visual Domain Adaptation"
    Params = JgsaParams

    def align(self, xs: np.ndarray, ys: np.ndarray, xt: np.ndarray) -> tuple[np.ndarray, Projection]:
        basis = span(np.concatenate([xs, xt]))
        s, t = xs @ basis, xt @ basis
        params, guesses = self.params, np.full(len(xt), -1)
        top, within, spread = class_scatter(s, ys, self.count), within_scatter(s, ys, self.count), t - t.mean(axis=0)
        zero = np.zeros_like(top)
        wanted = np.block([[params.scatter * top, zero], [zero, params.variance * (spread.T @ spread)]])
        eye = np.eye(len(top))
        fixed = np.block(
            [
                [params.closeness * eye + params.scatter * within, -params.closeness * eye],
                [-params.closeness * eye, (params.closeness + params.variance) * eye],
            ]
        )
        fixed += 1e-6 * np.trace(fixed) / len(fixed) * np.eye(len(fixed))
        for _ in range(params.iterations):
            gaps = mean_gaps(s, ys, t, guesses, self.count)
            marginal = marginal_vector(len(s), len(t))[:, None]
            factors = np.concatenate([marginal, class_vectors(ys, guesses, self.count)], axis=1)
            apart = gaps.T @ gaps / frobenius(factors, np.ones(factors.shape[1]))
            found = largest_generalized(wanted, fixed + apart, params.dim)
            source, target = Linear(found[: len(eye)], params.unit), Linear(found[len(eye) :], params.unit)
            zs = source(s)
            classifier = make_classifier(params.classifier).fit(zs, ys, self.count)
            now = classifier.predict_proba(target(t)).argmax(axis=1)
            if np.array_equal(now, guesses):
                break
            guesses = now
        return zs, Linear(basis @ target.matrix, params.unit)


def mean_gaps(s: np.ndarray, ys: np.ndarray, t: np.ndarray, guesses: np.ndarray, classes: int) -> np.ndarray:
    """Rows [mean of s, -mean of t] of the domains and of each class that both have: their outer products are M."""
    rows = [np.concatenate([s.mean(axis=0), -t.mean(axis=0)])]
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
