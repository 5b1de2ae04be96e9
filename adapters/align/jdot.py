"""Joint distribution optimal transport: plan and classifier together."""

import numpy as np
from pydantic import Field

from adapters.align.base import Aligner, AlignParams
from adapters.align.kernels import Kernel, median_gamma, squared_distances
from adapters.align.ot import exact, mean_cost, sample
from adapters.align.projections import Identity
from adapters.align.regularized import KernelClassifier
from adapters.align.sinkhorn import sinkhorn
from studio.core.registry import register

LARGEST = 5000  # samples of either domain; of more, a seeded sample makes the plan
EXACT = 1500  # samples up to which the plan is exact; beyond, it is entropic


class JdotParams(AlignParams):
    alpha: float = Field(1.0, gt=0, le=1e6, description="weight of the feature cost, in mean costs")
    ridge: float = Field(1.0, gt=0, le=1e6, description="weight of the classifier's norm")
    gamma: float = Field(0.0, ge=0, le=1e6, description="kernel width; 0 takes 1 / median squared distance")
    iterations: int = Field(10, ge=1, le=1000, description="rounds of plan and classifier")
    seed: int = Field(0, ge=0, description="chooses the sample of a large problem")


@register("align/jdot")
class Jdot(Aligner):
    """min over plan and f of <plan, alpha d(x, x') + |y - f(x')|^2> + ridge |f|^2. Courty et al. 2017b, eq. 5-7.

    f is a kernel ridge regression of one-hot labels on the target samples; the two are solved in turn.
    """

    title = "Joint distribution optimal transport"
    paper = "Courty, Flamary, Habrard, Rakotomamonjy 2017, Joint Distribution Optimal Transportation"
    Params = JdotParams

    def solve(self, xs: np.ndarray, ys: np.ndarray, xt: np.ndarray) -> None:
        params = self.params
        if max(len(xs), len(xt)) > LARGEST:
            self.note = f"solved on samples of {LARGEST} (seed {params.seed})"
            some, xt = sample(len(xs), LARGEST, params.seed), xt[sample(len(xt), LARGEST, params.seed + 1)]
            xs, ys = xs[some], ys[some]
        small = max(len(xs), len(xt)) <= EXACT
        kernel = Kernel("rbf", params.gamma or median_gamma(xt, params.seed))
        gram = kernel(xt, xt)
        gram[np.diag_indices_from(gram)] += params.ridge
        solver = np.linalg.inv(gram)
        gram[np.diag_indices_from(gram)] -= params.ridge
        cost = params.alpha * mean_cost(xs, xt)
        aims = np.eye(self.count)[ys]
        scores, before = None, None
        for _ in range(params.iterations):
            whole = cost if scores is None else cost + squared_distances(aims, scores)
            plan = exact(whole) if small else sinkhorn((whole / whole.mean()).astype(np.float32), 0.05)[0]
            carried = len(xt) * plan.T @ aims  # labels that arrive at each target sample
            coefficients = solver @ carried
            scores = gram @ coefficients
            guesses = scores.argmax(axis=1)
            if before is not None and np.array_equal(guesses, before):
                break
            before = guesses
        self.projection = Identity()
        self.classifier = KernelClassifier(xt, coefficients, kernel)
