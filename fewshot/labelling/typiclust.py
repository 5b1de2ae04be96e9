"""TypiClust: the most typical image of each cluster in which nothing is labelled yet."""

import warnings

import numpy as np

from studio.core import registry
from studio.core.labelling import Pool, Rule

NEIGHBOURS = 20  # of which typicality is the mean; section 3.2.1
MOST_CLUSTERS = 500


@registry.rule
class TypiClust(Rule):
    """Images are clustered into as many clusters as will be labelled; of the largest unlabelled ones the most typical.

    Hacohen, Dekel, Weinshall 2022, algorithm 1: typicality(x) = (mean distance to its K nearest neighbours in its
    cluster)^-1 (eq. 4), clusters by K-means in the features of a frozen network, as many as labels then, 500 at most.
    Where every cluster has labels, those with the fewest come first.
    """

    name, title = "typiclust", "TypiClust (typical of a new cluster)"
    paper = "Hacohen, Dekel, Weinshall 2022, Active Learning on a Budget: Opposite Strategies Suit High and Low Budgets"

    def pick(self, pool: Pool, count: int, rng: np.random.Generator) -> np.ndarray:
        labelled = pool.labels >= 0
        count = min(count, int(pool.waiting.sum()))
        if not count:
            return np.empty(0, np.int64)
        cluster = _clusters(pool.features, min(int(labelled.sum()) + count, MOST_CLUSTERS), rng)  # [N]
        taken, waiting = labelled.copy(), pool.waiting.copy()
        picked = list[int]()
        while len(picked) < count:
            numbers = np.unique(cluster[waiting])
            known = np.array([(cluster[taken] == number).sum() for number in numbers])
            size = np.array([(cluster == number).sum() for number in numbers])
            number = numbers[np.lexsort((-size, known))[0]]
            members = np.flatnonzero(cluster == number)
            typical = np.where(waiting[members], typicality(pool.features[members]), -np.inf)
            picked.append(int(members[typical.argmax()]))
            taken[picked[-1]], waiting[picked[-1]] = True, False
        return np.array(picked, np.int64)


def typicality(features: np.ndarray, neighbours: int = NEIGHBOURS) -> np.ndarray:
    """How typical each image [n] of a cluster [n, D] is; eq. 4. An image alone has 0."""
    if len(features) < 2:
        return np.zeros(len(features))
    squares = (features**2).sum(axis=1)
    distances = np.sqrt(np.clip(squares[:, None] + squares[None] - 2 * features @ features.T, 0, None))
    nearest = min(neighbours, len(features) - 1)
    np.fill_diagonal(distances, np.inf)
    return 1 / (np.partition(distances, nearest - 1, axis=1)[:, :nearest].mean(axis=1) + 1e-9)


def _clusters(features: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """The cluster [N] of each image."""
    from sklearn.cluster import KMeans, MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    kind = MiniBatchKMeans if len(features) > 5000 else KMeans
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the same photo several times: fewer clusters then
        found = kind(n_clusters=min(count, len(features)), n_init=1, random_state=int(rng.integers(2**31)))
        return found.fit_predict(features)
