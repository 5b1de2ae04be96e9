"""Domain adaptation SVM: target samples with sure pseudo-labels come in, source samples go out, step by step."""

import numpy as np
from pydantic import Field

from adapters.align.base import Aligner, AlignParams
from adapters.align.classifiers import make_classifier
from adapters.align.projections import Identity
from studio.core.registry import register


class DasvmParams(AlignParams):
    step: int = Field(10, ge=1, le=10000, description="samples of each class that come in and go out a round (rho)")
    rounds: int = Field(30, ge=1, le=1000, description="rounds at most")


@register("align/dasvm")
class Dasvm(Aligner):
    """Each round adds the surest target samples and drops the source samples the classifier is surest of.

    Bruzzone and Marconcini 2010, section III, for many classes at once: what they do at the two margins of a
    binary SVM is done for every class by its probability. A target sample whose pseudo-label changes goes out
    again. The last round holds pseudo-labelled target samples alone, so long as each class still has some.
    """

    title = "Domain adaptation SVM"
    paper = "Bruzzone, Marconcini 2010, Domain Adaptation Problems: A DASVM Classification Technique"
    Params = DasvmParams

    def solve(self, xs: np.ndarray, ys: np.ndarray, xt: np.ndarray) -> None:
        inside = np.ones(len(xs), bool)
        labels = np.full(len(xt), -1)
        self.projection = Identity()
        self.classifier = make_classifier("svm").fit(xs, ys, self.count)
        for _ in range(self.params.rounds):
            probabilities = self.classifier.predict_proba(xt)
            guesses = probabilities.argmax(axis=1)
            labels[labels != guesses] = -1
            sure = probabilities.max(axis=1)
            source_sure = self.classifier.predict_proba(xs)[np.arange(len(xs)), ys]
            for label in range(self.count):
                fresh = np.flatnonzero((guesses == label) & (labels < 0))
                labels[fresh[np.argsort(-sure[fresh])][: self.params.step]] = label
                if (labels == label).any():
                    left = np.flatnonzero((ys == label) & inside)
                    inside[left[np.argsort(-source_sure[left])][: self.params.step]] = False
            chosen = labels >= 0
            x, y = np.concatenate([xs[inside], xt[chosen]]), np.concatenate([ys[inside], labels[chosen]])
            if len(np.unique(y)) < 2:
                break
            self.classifier = make_classifier("svm").fit(x, y, self.count)
            if chosen.all() and not inside.any():
                break
