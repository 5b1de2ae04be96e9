"""Scores of a network that need no target label, to choose an epoch by. Higher is better."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from adapters.align.selection import controlled_risk, density, importance


@dataclass(frozen=True)
class Seen:
    """What a network says of both domains.

    Of the target features [M, D] and probabilities [M, C]; of the source's validation images features [V, D] and
    whether each is right [V], and features [N, D] of images it was trained on. Without a source these are empty.
    """

    target: np.ndarray
    probabilities: np.ndarray
    val: np.ndarray
    right: np.ndarray
    train: np.ndarray
    seed: int = 0

    @cached_property
    def weights(self) -> np.ndarray:
        """p_target / p_source [V] of the validation images."""
        return importance(self.train, self.target, self.val)


def entropy(seen: Seen) -> float:
    """Minus the mean entropy of target predictions. Morerio et al. 2018."""
    return -float(_entropy(seen.probabilities).mean())


def diversity(seen: Seen) -> float:
    """Entropy of the mean prediction less the mean entropy: sure, and of all classes. Musgrave et al. 2022, IM."""
    return float(_entropy(seen.probabilities.mean(axis=0, keepdims=True))[0]) + entropy(seen)


def importance_weighted(seen: Seen) -> float:
    """Accuracy on the source's validation images, weighted by p_target / p_source. Sugiyama et al. 2007."""
    return float((seen.weights * seen.right).mean())


def dev(seen: Seen) -> float:
    """Minus the weighted risk with a control variate. You et al. 2019, eq. 9-10."""
    return -controlled_risk(seen.weights, seen.right)


def snd(seen: Seen) -> float:
    """Soft neighbourhood density. Saito et al. 2021, eq. 1-3."""
    return density(seen.probabilities, seen.seed)


SCORES: dict[str, Callable[[Seen], float]] = {
    "entropy": entropy,
    "diversity": diversity,
    "importance-weighted": importance_weighted,
    "dev": dev,
    "snd": snd,
}
USUAL = {"partial": "entropy"}  # by setting; diversity wants all classes, of which a partial target lacks some
OF_THE_SOURCE = ("importance-weighted", "dev")  # which need labelled source images


def all_scores(seen: Seen) -> dict[str, float]:
    """Every score that can be had, by name."""
    return {
        name: score(seen) for name, score in SCORES.items() if len(seen.val) or name not in OF_THE_SOURCE
    }  # fmt: skip


def _entropy(probabilities: np.ndarray) -> np.ndarray:
    return -(probabilities * np.log(np.maximum(probabilities, 1e-12))).sum(axis=1)
