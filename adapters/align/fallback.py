"""Whether alignment is likely to help or to harm: the method beside source only, by a score without target labels."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from adapters.align.base import Aligner
from adapters.align.domains import Pair
from adapters.align.none import NoAlignment
from adapters.align.selection import SCORES
from studio.core.procedure import Job


@dataclass(frozen=True)
class Comparison:
    """Label-free scores of a method and of source only; higher is better."""

    score: str  # of SCORES
    method: float
    source_only: float

    @property
    def harms(self) -> bool:
        """Source only scores higher; what is equal, or no number, does not say so."""
        return bool(self.source_only > np.nan_to_num(self.method, nan=-np.inf))

    def metrics(self) -> dict[str, float]:
        return {"label_free_score": self.method, "source_only_label_free_score": self.source_only}


def source_only(method: Aligner, pair: Pair) -> NoAlignment | None:
    """The same normalisation and classifier without alignment; None where the features don't fit."""
    if pair.xs.shape[1] != pair.xt.shape[1]:
        return None
    params = NoAlignment.Params(normalize=method.params.normalize, classifier=method.params.classifier)
    return NoAlignment(params).fit(pair.xs, pair.ys, pair.xt)


def compare(method: Aligner, plain: NoAlignment, pair: Pair, score: str, seed: int) -> Comparison:
    """Both by `score`, which sees the target's features alone. The two are fitted on `pair`, and not fitted again."""
    return Comparison(score, *(_score(model, pair, score, seed) for model in (method, plain)))


def prefers_source_only(job: Job, comparison: Comparison, title: str, metrics: dict[str, Any]) -> bool:
    """Whether eval.fallback has source only kept; both scores go into `metrics`, and why into the run's events."""
    metrics.update(comparison.metrics())
    fallback = job.recipe.eval.fallback == "source-only"
    instead = fallback and comparison.harms
    if fallback:
        metrics["selection"] += f"; against source only label-free: {comparison.score}"
    name = "source only" if instead else f"the method ({title})"
    why = f"Kept is {name}. By the label-free score {comparison.score} source only has "
    why += f"{comparison.source_only:.3f}, the method {comparison.method:.3f}."
    if comparison.harms:
        other = "eval.fallback: none keeps the method" if fallback else "eval.fallback: source-only keeps the other"
        job.events.warning(f"Negative transfer is likely. {why} {other}.")
    else:
        job.events.note(why)
    return instead


def tell_of_kept(job: Job, title: str, source_only: bool, metrics: dict[str, Any]) -> None:
    """`kept` and `kept_accuracy` in the metrics, and a warning where target labels show that the method harmed."""
    own, bare = metrics["target_accuracy"], metrics["source_only_accuracy"]
    metrics["kept"] = "source only" if source_only else "method"
    metrics["kept_accuracy"] = bare if source_only else own
    if own is not None and bare is not None and own < bare:
        job.events.warning(
            f"Negative transfer, measured on target labels: {title} {own:.3f}, source only {bare:.3f}. "
            "The labels chose nothing."
        )


def _score(model: Aligner, pair: Pair, score: str, seed: int) -> float:
    def build(xs: np.ndarray, ys: np.ndarray, xt: np.ndarray) -> Aligner:
        same = xs is pair.xs and xt is pair.xt
        return model if same else type(model)(model.params).fit(xs, ys, xt)

    return SCORES[score](build, pair.xs, pair.ys, pair.xt, seed)
