"""What importance weighting shares: the source as it is, its samples weighted by how much they look like the target."""

from typing import Literal

import numpy as np
from pydantic import Field

from adapters.align.base import Aligner, AlignParams
from adapters.align.classifiers import make_classifier
from adapters.align.projections import Identity
from studio.core.errors import DataError

CHUNK = 4_000_000  # kernel values made at once


class WeightParams(AlignParams):
    classifier: Literal["svm", "logistic"] = Field("svm", description="what is trained on the weighted source")


class Reweighter(Aligner):
    """A method fills `weights`: an estimate of p_target(x) / p_source(x) at each source sample.

    The estimate is scaled to mean 1, so that the penalty of the classifier keeps its meaning; it is kept as
    `sample_weights` [n].
    """

    Params = WeightParams

    def solve(self, xs: np.ndarray, ys: np.ndarray, xt: np.ndarray) -> None:
        self.sample_weights = mean_one(self.weights(xs, xt))
        self.projection = Identity()
        self.classifier = make_classifier(self.params.classifier).fit(xs, ys, self.count, self.sample_weights)

    def weights(self, xs: np.ndarray, xt: np.ndarray) -> np.ndarray:
        """Weights [n] >= 0 of source samples [n, d] for target samples [m, d], of any scale."""
        raise NotImplementedError


def mean_one(weights: np.ndarray) -> np.ndarray:
    """The weights scaled to mean 1. Raises DataError where all are 0: the domains share no region."""
    mean = weights.mean(dtype=np.float64)
    if not np.isfinite(mean) or mean <= 0:
        raise DataError(
            "Every source sample got weight 0: no source sample lies near the target. "
            "Normalise the features (params.normalize), set a smaller params.gamma, or choose a nearer source."
        )
    return weights / mean


def seeded_rows(x: np.ndarray, most: int, seed: int) -> np.ndarray:
    """At most `most` rows of x, a seeded sample in their old order."""
    if len(x) <= most:
        return x
    return x[np.sort(np.random.default_rng(seed).permutation(len(x))[:most])]


def chunks(rows: int, columns: int) -> list[slice]:
    """Slices of `rows` that keep each block of rows x columns below `CHUNK` values."""
    step = max(1, CHUNK // max(1, columns))
    return [slice(start, start + step) for start in range(0, rows, step)]
