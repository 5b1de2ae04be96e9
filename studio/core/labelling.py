"""Which image is labelled next: what a rule is given, and what it gives back.

A rule is one class in one file of a wing, made known by `@registry.rule`:

    @registry.rule
    class Margin(Rule):
        name, title, paper = "margin", "Margin", "Scheffer et al. 2001, ..."

        def pick(self, pool, count, rng): ...
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Pool:
    """The images of a labelling project, N in all, of which L are labelled in C classes.

    features float32 [N, D] of unit length; labels int64 [N], -1 where there is none yet; waiting bool [N]: may be asked
    for, so neither labelled nor skipped. `committee()` gives float64 [M, N, C]: the probabilities 0..1 that M
    classifiers, which learned from the labels alone, give each image; `probabilities()` [N, C] are those of the first.
    """

    features: "np.ndarray"
    labels: "np.ndarray"
    waiting: "np.ndarray"
    committee: "Callable[[], np.ndarray]"

    def probabilities(self) -> "np.ndarray":
        return self.committee()[0]


class Rule:
    """Chooses images to be labelled next."""

    name: ClassVar[str]  # kebab-case
    title: ClassVar[str]  # a few words
    paper: ClassVar[str]
    #: it looks at answers of classifiers, so it begins once images of two classes are labelled
    needs_classes: ClassVar[bool] = False
    #: it looks at features; one that doesn't can choose among any number of images at once
    needs_features: ClassVar[bool] = True

    def pick(self, pool: Pool, count: int, rng: "np.random.Generator") -> "np.ndarray":
        """Indices int64 of `count` waiting images (all, where fewer wait), the most telling first."""
        raise NotImplementedError


class Uncertain(Rule):
    """Rules that rank images one by one, by how unsure the classifier is of each."""

    needs_classes = True

    def doubt(self, pool: Pool) -> "np.ndarray":
        """How unsure the answer of each image is [N]; the highest is asked first."""
        raise NotImplementedError

    def pick(self, pool: Pool, count: int, rng: "np.random.Generator") -> "np.ndarray":
        waiting = pool.waiting.nonzero()[0]
        return waiting[(-self.doubt(pool)[waiting]).argsort(kind="stable")][:count]
