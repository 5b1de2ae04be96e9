"""KLIEP: the density ratio whose weighted source is nearest to the target in Kullback-Leibler divergence."""

import numpy as np
import scipy.optimize
from pydantic import Field

from adapters.align.kernels import Kernel, median_gamma
from adapters.align.kmm import kernel_sums
from adapters.align.threads import suited_to
from adapters.align.weighting import Reweighter, WeightParams, seeded_rows
from studio.core.registry import register

WIDTHS = (0.1, 0.3, 1.0, 3.0, 10.0)  # times the median width, tried where gamma is 0
TINY = 1e-300


class KliepParams(WeightParams):
    gamma: float = Field(0.0, ge=0, le=1e6, description="kernel width; 0 chooses by likelihood on held-out target")
    centers: int = Field(100, ge=2, le=5000, description="target samples that carry a kernel")
    folds: int = Field(5, ge=2, le=20, description="folds of the choice of gamma")
    seed: int = Field(0, ge=0, description="chooses centers and folds")


@register("align/kliep")
class Kliep(Reweighter):
    """w(x) = sum_l a_l k(x, c_l): max sum_j log w(t_j) with mean_i w(x_i) = 1, a >= 0. Sugiyama et al. 2008, eq. 9.

    The width is chosen by likelihood cross-validation (their section 2.3).
    """

    title = "KLIEP"
    paper = "Sugiyama et al. 2008, Direct Importance Estimation for Covariate Shift Adaptation"
    formula = (
        r"\max_\alpha \sum_j \log \sum_l \alpha_l \varphi_l(x^t_j) \quad "
        r"\text{s.t.} \quad \frac{1}{n}\sum_i \sum_l \alpha_l \varphi_l(x^s_i) = 1"
    )
    Params = KliepParams

    def weights(self, xs: np.ndarray, xt: np.ndarray) -> np.ndarray:
        p = self.params
        centers = seeded_rows(xt, p.centers, p.seed)
        gamma = p.gamma or self.choose_gamma(xs, xt, centers)
        kernel = Kernel("rbf", gamma)
        coefficients = kliep(kernel(xt, centers), kernel_sums(kernel, centers, xs) / len(xs))
        return kernel(xs, centers) @ coefficients

    def choose_gamma(self, xs: np.ndarray, xt: np.ndarray, centers: np.ndarray) -> float:
        base = median_gamma(np.concatenate([xs[:500], xt[:500]]))
        fold = np.random.default_rng(self.params.seed).permutation(len(xt)) % min(self.params.folds, len(xt))
        scores = []
        for width in WIDTHS:
            kernel = Kernel("rbf", base * width)
            target, source = kernel(xt, centers), kernel_sums(kernel, centers, xs) / len(xs)
            found = [np.log(target[fold == k] @ kliep(target[fold != k], source) + TINY) for k in range(fold.max() + 1)]
            scores.append(np.concatenate(found).mean())
        return base * WIDTHS[int(np.argmax(scores))]


def kliep(target: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Coefficients a >= 0 [L] with source.a = 1 that maximise mean log(target a); target [m, L], source [L].

    The multiplier of the constraint is 1 at the optimum, as the likelihood is homogeneous; so this is
    min source.a - mean log(target a) over a >= 0, which L-BFGS-B solves in coordinates a_l source_l.
    """
    used = source > source.max() * 1e-12
    scaled = (target[:, used] / source[used]).astype(np.float64)
    size = scaled.max()
    scaled /= size

    def objective(b: np.ndarray) -> tuple[float, np.ndarray]:
        ratio = scaled @ b + TINY
        return float(b.sum() - np.log(ratio).mean()), 1.0 - (1.0 / ratio) @ scaled / len(scaled)

    start = np.full(scaled.shape[1], 1.0 / scaled.shape[1])
    for _ in range(5):  # expectation-maximisation steps: cheap, and they leave the start's plateau
        start = start * ((1.0 / (scaled @ start + TINY)) @ scaled / len(scaled))
    options = {"maxiter": 500, "ftol": 1e-12, "gtol": 1e-7}
    with suited_to(*scaled.shape):
        found = scipy.optimize.minimize(
            objective, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(start), options=options
        )
    coefficients = np.zeros(len(source))
    coefficients[used] = found.x / found.x.sum() / source[used]
    return coefficients
