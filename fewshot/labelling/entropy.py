"""Entropy: the image whose probabilities are spread most widely."""

import numpy as np

from studio.core import registry
from studio.core.labelling import Pool, Uncertain


@registry.rule
class Entropy(Uncertain):
    """Doubt is the entropy of the probabilities: -sum_y p(y|x) log p(y|x).

    Settles 2009, Active Learning Literature Survey, section 3.1, x*_H.
    """

    name, title, paper = "entropy", "Entropy (least sure)", "Settles 2009, Active Learning Literature Survey"

    def doubt(self, pool: Pool) -> np.ndarray:
        probabilities = np.clip(pool.probabilities(), 1e-12, 1.0)
        return -(probabilities * np.log(probabilities)).sum(axis=1)
