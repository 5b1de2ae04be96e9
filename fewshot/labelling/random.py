"""Random: every image is as good as another, which is what each other rule has to beat."""

import numpy as np

from studio.core import registry
from studio.core.labelling import Pool, Rule


@registry.rule
class Random(Rule):
    """A draw from all images that wait."""

    name, title, paper = "random", "Random", "The baseline of every study of active learning"
    needs_features = False

    def pick(self, pool: Pool, count: int, rng: np.random.Generator) -> np.ndarray:
        return rng.permutation(np.flatnonzero(pool.waiting))[:count]
