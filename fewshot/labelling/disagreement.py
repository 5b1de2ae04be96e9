"""Disagreement: the image of which several classifiers, taught the same, think most differently."""

import numpy as np

from studio.core import registry
from studio.core.labelling import Pool, Uncertain


@registry.rule
class Disagreement(Uncertain):
    """Doubt is the mean Kullback-Leibler divergence of each member of the committee to their mean.

    McCallum and Nigam 1998, section 4, with D(P_m || P_avg) summed over the members.
    """

    name, title = "disagreement", "Disagreement (classifiers differ)"
    paper = "McCallum and Nigam 1998, Employing EM and Pool-Based Active Learning for Text Classification"

    def doubt(self, pool: Pool) -> np.ndarray:
        members = np.clip(pool.committee(), 1e-12, 1.0)  # [M, N, C]
        consensus = members.mean(axis=0)
        return (members * np.log(members / consensus)).sum(axis=2).mean(axis=0)
