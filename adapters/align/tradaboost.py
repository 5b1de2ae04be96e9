"""TrAdaBoost: boosting that lets go of source samples which the few target labels speak against."""

from typing import Literal

import numpy as np
from pydantic import Field

from adapters.align.base import FewLabels, FewLabelsParams
from adapters.align.classifiers import Classifier, make_classifier
from adapters.align.projections import Identity
from adapters.align.stored import Arrays, part
from studio.core.registry import register

LEAST = 1e-10


class TrAdaBoostParams(FewLabelsParams):
    classifier: Literal["svm", "logistic"] = Field("svm", description="what is boosted")
    rounds: int = Field(20, ge=1, le=1000, description="boosting rounds")


@register("align/tradaboost")
class TrAdaBoost(FewLabels):
    """Wrong source samples lose weight, wrong target samples gain it. Dai et al. 2007, algorithm 1.

    Where the source has several domains, each round trains one classifier a source, with the target's
    samples, and keeps the one of least target error: MultiSourceTrAdaBoost, Yao and Doretto 2010,
    algorithm 1. For C classes the gain carries log(C - 1), as in SAMME (Zhu et al. 2009), so that a
    classifier only has to beat chance. The second half of the rounds votes, as Dai et al. prove for.
    """

    title = "TrAdaBoost"
    paper = "Dai et al. 2007, Boosting for Transfer Learning; Yao and Doretto 2010 for several sources"
    Params = TrAdaBoostParams

    def solve(self, xs: np.ndarray, ys: np.ndarray, xt: np.ndarray) -> None:
        rounds, classes = self.params.rounds, self.count
        xf, yf = xt[self.few], self.few_labels
        given = self.sample_domain if self.sample_domain is not None else np.zeros(len(xs), np.int64)
        sources = np.unique(given, return_inverse=True)[1]
        source, target = np.full(len(xs), 1.0 / len(xs)), np.full(len(xf), 1.0 / len(xf))
        fade = 1.0 / (1.0 + np.sqrt(2.0 * np.log(max(len(xs), 2)) / rounds))
        members, votes = [], []
        for _ in range(rounds):
            total = source.sum() + target.sum()
            tried = [
                self._round(xs, ys, xf, yf, sources == number, source / total, target / total)
                for number in set(sources)
            ]
            error, model = min(tried, key=lambda pair: pair[0])
            error = float(np.clip(error, LEAST, 1.0))
            if error >= 1.0 - 1.0 / classes:  # no better than chance: it gets no vote, and the weights stand still
                break
            gain = np.log((1.0 - error) / error) + np.log(max(classes - 1, 1))
            wrong_s = model.predict_proba(xs).argmax(axis=1) != ys
            wrong_t = model.predict_proba(xf).argmax(axis=1) != yf
            source = source * np.where(wrong_s, fade, 1.0)
            target = target * np.exp(min(gain, 5.0) * wrong_t)
            members.append(model)
            votes.append(min(gain, 5.0))
        if not members:
            members, votes = [model], [1.0]
        half = len(members) // 2
        self.projection, self.classifier = Identity(), Committee(members[half:], np.array(votes[half:]))

    def _round(
        self, xs: np.ndarray, ys: np.ndarray, xf: np.ndarray, yf: np.ndarray, rows: np.ndarray, ws: np.ndarray,
        wt: np.ndarray,
    ) -> tuple[float, Classifier]:  # fmt: skip
        """Target error and classifier of one source with the target's few."""
        x, y = np.concatenate([xs[rows], xf]), np.concatenate([ys[rows], yf])
        weights = np.concatenate([ws[rows], wt])
        weights = np.maximum(weights / weights.mean(), 1e-6)
        model = make_classifier(self.params.classifier).fit(x, y, self.count, weights)
        wrong = model.predict_proba(xf).argmax(axis=1) != yf
        return float((wt * wrong).sum() / wt.sum()), model


class Committee(Classifier, kind="committee"):
    """Classifiers that vote by weight; probabilities are their weighted mean."""

    def __init__(self, members: list[Classifier], votes: np.ndarray) -> None:
        self.members, self.votes = members, votes / votes.sum()

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        return sum(vote * member.predict_proba(x) for vote, member in zip(self.votes, self.members, strict=True))

    def arrays(self) -> Arrays:
        arrays = {"votes": self.votes}
        for number, member in enumerate(self.members):
            arrays |= {f"{number}.{name}": array for name, array in member.stored().items()}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "Committee":
        members = [Classifier.restore(part(arrays, str(number))) for number in range(len(arrays["votes"]))]
        return cls(members, arrays["votes"])
