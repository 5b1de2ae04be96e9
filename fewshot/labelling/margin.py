"""Margin: the image whose two best classes are closest to each other."""

import numpy as np

from studio.core import registry
from studio.core.labelling import Pool, Uncertain


@registry.rule
class Margin(Uncertain):
    """Doubt is minus the difference of the two highest probabilities.

    Scheffer et al. 2001; Settles 2009, section 3.1, x*_M = argmin p(y1|x) - p(y2|x).
    """

    name, title = "margin", "Margin (least sure)"
    paper = "Scheffer, Decomain, Wrobel 2001, Active Hidden Markov Models for Information Extraction"

    def doubt(self, pool: Pool) -> np.ndarray:
        best = np.partition(pool.probabilities(), -2, axis=1)[:, -2:]  # [N, 2], the highest last
        return best[:, 0] - best[:, 1]
