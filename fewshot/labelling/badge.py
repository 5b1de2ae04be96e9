"""BADGE: images of which the classifier is unsure and which differ from each other, in one draw."""

import numpy as np

from studio.core import registry
from studio.core.labelling import Pool, Rule


@registry.rule
class Badge(Rule):
    """A k-means++ draw over the gradients that the last layer would get if its own best guess were true.

    Ash et al. 2020, algorithm 1, eq. 1: (g_x)_i = (p_i - 1[best = i]) z(x), long where the answer is unsure. A gradient
    is an outer product, so distances need no [N, C D] array: <g_x, g_y> = <a_x, a_y> <z_x, z_y> with a = p - 1[best].
    The first is the image of the longest gradient, as the authors' own code has it.
    """

    name, title = "badge", "BADGE (unsure and varied)"
    paper = "Ash et al. 2020, Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds"
    needs_classes = True

    def pick(self, pool: Pool, count: int, rng: np.random.Generator) -> np.ndarray:
        waiting = np.flatnonzero(pool.waiting)
        count = min(count, len(waiting))
        if not count:
            return np.empty(0, np.int64)
        pull = pool.probabilities()[waiting].copy()
        pull[np.arange(len(waiting)), pull.argmax(axis=1)] -= 1
        features = pool.features[waiting].astype(np.float64)
        lengths = (pull**2).sum(axis=1) * (features**2).sum(axis=1)
        picked = [int(lengths.argmax())]
        farness = np.full(len(waiting), np.inf)
        while len(picked) < count:
            last = picked[-1]
            inner = (pull @ pull[last]) * (features @ features[last])
            farness = np.minimum(farness, np.clip(lengths + lengths[last] - 2 * inner, 0, None))
            farness[picked] = 0
            total = farness.sum()
            left = np.setdiff1d(np.arange(len(waiting)), picked)
            picked.append(int(rng.choice(len(waiting), p=farness / total) if total > 0 else left[0]))
        return waiting[picked]
