"""uLSIF: the density ratio by least squares, in closed form."""

import numpy as np
from pydantic import Field

from adapters.align.kernels import Kernel, median_gamma
from adapters.align.kliep import WIDTHS
from adapters.align.weighting import Reweighter, WeightParams, seeded_rows
from studio.core.registry import register

RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)


class UlsifParams(WeightParams):
    gamma: float = Field(0.0, ge=0, le=1e6, description="kernel width; 0 chooses by leave-one-out")
    ridge: float = Field(0.0, ge=0, le=1e6, description="penalty (lambda); 0 chooses by leave-one-out")
    centers: int = Field(100, ge=2, le=5000, description="target samples that carry a kernel")
    seed: int = Field(0, ge=0, description="chooses the centers and the pairs left out")


@register("align/ulsif")
class Ulsif(Reweighter):
    """a = max(0, (H + lambda I)^-1 h), w(x) = sum_l a_l k(x, c_l). Kanamori et al. 2009, eq. 27-28.

    H is the mean of k k^T over the source, h the mean of k over the target. Width and penalty are chosen by
    the leave-one-out error, which has a closed form too (their section 3.3).
    """

    title = "uLSIF"
    paper = "Kanamori, Hido, Sugiyama 2009, A Least-squares Approach to Direct Importance Estimation"
    formula = r"\hat\alpha = (\hat H + \lambda I)^{-1} \hat h, \qquad w(x) = \max(0, \sum_l \alpha_l \varphi_l(x))"
    Params = UlsifParams

    def weights(self, xs: np.ndarray, xt: np.ndarray) -> np.ndarray:
        p = self.params
        centers = seeded_rows(xt, p.centers, p.seed)
        base = median_gamma(np.concatenate([xs[:500], xt[:500]]))
        best = (np.inf, np.zeros(len(xs)))
        rng = np.random.default_rng(p.seed)
        rows, columns = rng.permutation(len(xs)), rng.permutation(len(xt))  # pairs must not follow the order of classes
        for gamma in (p.gamma,) if p.gamma else tuple(base * width for width in WIDTHS):
            kernel = Kernel("rbf", gamma)
            source, target = kernel(xs, centers), kernel(xt, centers)
            for ridge in (p.ridge,) if p.ridge else RIDGES:
                error = leave_one_out(source[rows], target[columns], ridge)
                if error < best[0]:
                    best = (error, source @ ulsif(source, target, ridge))
        return best[1]


def ulsif(source: np.ndarray, target: np.ndarray, ridge: float) -> np.ndarray:
    """Coefficients [L] from kernel values source [n, L] and target [m, L]."""
    h = source.T @ source / len(source) + ridge * np.eye(source.shape[1])
    return np.maximum(np.linalg.solve(h, target.mean(axis=0)), 0.0)


def leave_one_out(source: np.ndarray, target: np.ndarray, ridge: float) -> float:
    """The error w(x)^2 / 2 - w(t) of pairs (x_i, t_i) by the ratio learned without them, from one factorization.

    Leaving x_i out changes H by a term of rank one (Sherman and Morrison). Over the first min(n, m) pairs.
    """
    n, m = len(source), len(target)
    k = min(n, m)
    if k < 2:
        return 0.0
    moment = source.T @ source / (n - 1) + ridge * np.eye(source.shape[1])  # of n - 1 samples once x_i is out
    x, t = source[:k], target[:k]
    right = np.concatenate([x, t, target.sum(axis=0)[None]]) @ np.linalg.inv(moment)
    along, t_solved, total = right[:k], right[k:-1], right[-1]
    plain = (total - t_solved) / (m - 1)
    gap = (n - 1) - (x * along).sum(axis=1)
    coefficients = plain + along * ((plain * x).sum(axis=1) / gap)[:, None]
    coefficients = np.maximum(coefficients, 0.0)
    return float(((x * coefficients).sum(axis=1) ** 2 / 2 - (t * coefficients).sum(axis=1)).mean())
