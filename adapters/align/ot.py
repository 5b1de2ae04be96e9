"""Optimal transport: every source sample moves to the mean of the target samples that its mass goes to."""

from typing import Literal

import numpy as np
from pydantic import Field

from adapters.align.base import Aligner, AlignParams
from adapters.align.classifiers import make_classifier
from adapters.align.kernels import squared_distances
from adapters.align.projections import Identity
from adapters.align.sinkhorn import group_lasso, sinkhorn
from studio.core.registry import register


class TransportParams(AlignParams):
    regularizer: Literal["entropic", "group-lasso", "none"] = Field(
        "group-lasso", description="group-lasso keeps classes apart; none is exact transport, by POT's network simplex"
    )
    reg: float = Field(0.2, gt=0, le=1e3, description="weight of the entropy, in mean costs")
    group: float = Field(0.1, ge=0, le=1e3, description="weight of the group lasso, in mean costs")
    most: int = Field(5000, ge=10, le=50000, description="samples of a domain that are transported; the plan is dense")
    seed: int = Field(0, ge=0, description="chooses them where a domain has more")


@register("align/ot")
class OptimalTransport(Aligner):
    """T = argmin <T, cost> + reg sum T log T [+ eta sum_jc |T(I_c, j)|_1^(1/2)]; x_s moves to n T x_t.

    Cost is the squared distance over its mean. Courty et al. 2017, eq. 7 (entropic), 12 (classes), 14 (barycentres).
    """

    title = "Optimal transport"
    paper = "Courty et al. 2017, Optimal Transport for Domain Adaptation"
    formula = (
        r"\gamma = \arg\min_{\gamma \in \Pi(a, b)} \langle \gamma, C \rangle + \epsilon \sum_{ij} "
        r"\gamma_{ij} \log \gamma_{ij}, \qquad \hat x_i = \frac{\sum_j \gamma_{ij} x^t_j}{\sum_j \gamma_{ij}}"
    )
    Params = TransportParams

    def solve(self, xs: np.ndarray, ys: np.ndarray, xt: np.ndarray) -> None:
        p = self.params
        rows, columns = sample(len(xs), p.most, p.seed), sample(len(xt), p.most, p.seed + 1)
        if len(rows) < len(xs) or len(columns) < len(xt):
            self.note = (
                f"transport between {len(rows)} of {len(xs)} source and {len(columns)} of {len(xt)} target "
                f"samples (seed {p.seed}): a dense plan of all would not fit"
            )
        xs, ys, xt = xs[rows], ys[rows], xt[columns]
        plan = self.plan(mean_cost(xs, xt), ys)
        moved = barycentres(plan, xt)
        self.projection = Identity()
        self.classifier = make_classifier(p.classifier).fit(moved, ys, self.count)

    def plan(self, cost: np.ndarray, ys: np.ndarray) -> np.ndarray:
        """[n, m], sums to 1."""
        p = self.params
        if p.regularizer == "none":
            return exact(cost)
        if p.regularizer == "entropic":
            return sinkhorn(cost, p.reg)[0]
        return group_lasso(cost, ys, p.reg, p.group)


def mean_cost(xs: np.ndarray, xt: np.ndarray) -> np.ndarray:
    """Squared distances over their mean [n, m], in float32: a plan needs no more, and half the memory."""
    cost = squared_distances(xs, xt).astype(np.float32)
    mean = cost.mean(dtype=np.float64)
    return cost / np.float32(mean if mean > 0 else 1.0)


def exact(cost: np.ndarray) -> np.ndarray:
    """The plan without entropy, by POT."""
    import ot

    n, m = cost.shape
    return ot.emd(np.full(n, 1 / n), np.full(m, 1 / m), cost.astype(np.float64), numItermax=5_000_000)


def partial(cost: np.ndarray, mass: float) -> np.ndarray:
    """The plan that moves `mass` of 1 at least cost, by POT."""
    from ot.partial import partial_wasserstein

    n, m = cost.shape
    return partial_wasserstein(np.full(n, 1 / n), np.full(m, 1 / m), cost.astype(np.float64), m=mass)


def barycentres(plan: np.ndarray, xt: np.ndarray) -> np.ndarray:
    """Where each source sample arrives: the mean of xt by its row of the plan."""
    return (plan @ xt.astype(plan.dtype)) / plan.sum(axis=1, keepdims=True)


def sample(count: int, most: int, seed: int) -> np.ndarray:
    """Indices of at most `most` of `count` samples, rising."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).permutation(count)[:most])
