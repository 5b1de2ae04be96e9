"""k-center: the image farthest from all that are labelled, so that none is far from a labelled one."""

import numpy as np

from studio.core import registry
from studio.core.labelling import Pool, Rule


@registry.rule
class KCenter(Rule):
    """The greedy 2-approximation of the k-center problem.

    Sener and Savarese 2018, algorithm 1: u = argmax_i min_j distance(x_i, x_j) over the labelled x_j, u joins them.
    Where nothing is labelled it begins with the image nearest to the mean.
    """

    name, title = "k-center", "k-center (farthest from labelled)"
    paper = "Sener and Savarese 2018, Active Learning for Convolutional Neural Networks: A Core-Set Approach"

    def pick(self, pool: Pool, count: int, rng: np.random.Generator) -> np.ndarray:
        labelled, waiting = np.flatnonzero(pool.labels >= 0), np.flatnonzero(pool.waiting)
        picked = list[int]()
        if not len(labelled) and len(waiting) and count:
            centre = pool.features[waiting].mean(axis=0)
            picked.append(int(waiting[np.linalg.norm(pool.features[waiting] - centre, axis=1).argmin()]))
        farness = np.full(len(pool.features), np.inf)  # distance to the nearest centre
        for index in [*labelled, *picked]:
            farness = np.minimum(farness, _distances(pool.features, index))
        while len(picked) < min(count, len(waiting)):
            open_ = np.where(pool.waiting, farness, -np.inf)
            open_[picked] = -np.inf
            picked.append(int(open_.argmax()))
            farness = np.minimum(farness, _distances(pool.features, picked[-1]))
        return np.array(picked, np.int64)


def _distances(features: np.ndarray, index: int) -> np.ndarray:
    """Euclidean distances [N] to the image at `index`."""
    return np.linalg.norm(features - features[index], axis=1)
