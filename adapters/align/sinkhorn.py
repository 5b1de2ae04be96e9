"""Entropic optimal transport by Sinkhorn's scaling, stabilised by potentials and warm-started."""

import numpy as np

TINY = 1e-30
ABSORB = 1e6  # scalings beyond are folded into the potentials, so that float32 neither overflows nor vanishes
COARSE = 1e-3  # of rounds whose plan is only the next one's start
CHECK = 10  # rounds between looks at the marginals


def sinkhorn(
    cost: np.ndarray,
    reg: float,
    start: tuple[np.ndarray, np.ndarray] | None = None,
    iterations: int = 1000,
    tolerance: float = 1e-5,
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """The plan T [n, m] that minimises <T, cost> + reg sum T log T with uniform marginals, and its potentials.

    The potentials (f [n], g [m]) of a like problem as `start` save most of the rounds. It ends where the column
    sums are right to `tolerance` of the total mass; row sums are exact. Cuturi 2013; absorption: Schmitzer 2019.
    """
    n, m = cost.shape
    f, g = start if start is not None else (np.zeros(n, cost.dtype), np.zeros(m, cost.dtype))
    if start is None:
        f = soft_minimum(cost - g, reg) - reg * np.asarray(np.log(n), cost.dtype)
    kernel = gibbs(cost, f, g, reg)
    u, v = np.ones(n, cost.dtype), np.ones(m, cost.dtype)
    pace, last = 1.0, np.inf
    for round_ in range(iterations):
        columns = u @ kernel
        if round_ % CHECK == 0:
            error = float(np.abs(v * columns - 1 / m).sum())
            if round_ and error < tolerance:
                break
            pace, last = overrelaxation(pace, error, last), error
        rows = np.zeros(0)
        if columns.min() > TINY:
            v = relaxed(v, 1 / (m * columns), pace)
            rows = kernel @ v
        exact = not (rows.size and rows.min() > TINY)
        if not exact:
            u = relaxed(u, 1 / (n * rows), pace)
        if exact or max(u.max(), v.max()) > ABSORB:
            f, g = f + reg * np.log(u), g + reg * np.log(v)
            if exact:  # the scalings cannot be told in this precision: one exact round on the potentials
                pace, f = 1.0, soft_minimum(cost - g, reg) - reg * np.asarray(np.log(n), cost.dtype)
                g = soft_minimum((cost - f[:, None]).T, reg) - reg * np.asarray(np.log(m), cost.dtype)
            kernel, u, v = gibbs(cost, f, g, reg), np.ones_like(u), np.ones_like(v)
    u = 1 / (n * (kernel @ v))
    kernel *= u[:, None]
    kernel *= v
    return kernel, (f + reg * np.log(u), g + reg * np.log(v))


def overrelaxation(pace: float, error: float, last: float) -> float:
    """The exponent for the next rounds: the best for the rate seen, 1 after a step back. Lehmann et al. 2022."""
    if error >= last:
        return 1.0
    if pace > 1.0 or not np.isfinite(last):
        return pace
    rate = (error / last) ** (1 / CHECK)
    return min(2 / (1 + np.sqrt(1 - rate)), 1.9)


def relaxed(old: np.ndarray, new: np.ndarray, pace: float) -> np.ndarray:
    return new if pace == 1.0 else old * (new / old) ** old.dtype.type(pace)


def gibbs(cost: np.ndarray, f: np.ndarray, g: np.ndarray, reg: float) -> np.ndarray:
    """exp((f_i + g_j - cost_ij) / reg), one matrix made."""
    kernel = f[:, None] - cost
    kernel += g
    kernel /= np.asarray(reg, cost.dtype)
    np.minimum(kernel, 80.0, out=kernel)
    return np.exp(kernel, out=kernel)


def soft_minimum(cost: np.ndarray, reg: float) -> np.ndarray:
    """-reg log sum_j exp(-cost_ij / reg) [n]."""
    least = cost.min(axis=1)
    return least - reg * np.log(np.exp((least[:, None] - cost) / reg).sum(axis=1))


def group_lasso(
    cost: np.ndarray, labels: np.ndarray, reg: float, eta: float, rounds: int = 10, tolerance: float = 1e-5
) -> np.ndarray:
    """The plan with sum_j sum_c sqrt(|T[class c, j]|_1 + 1e-3) added, eta times. Courty et al. 2017, eq. 12, section 4.

    Majorised: each round adds the slope of the square roots to the cost and goes on from the last potentials,
    where POT's `sinkhorn_lpl1_mm` starts anew; class sums are one product with the labels' one-hot matrix.
    """
    members = (labels[None, :] == np.unique(labels)[:, None]).astype(cost.dtype)  # [C, n]
    own = members.argmax(axis=0)
    plan, potentials = sinkhorn(cost, reg, tolerance=COARSE)
    for left in range(rounds - 1, 0, -1):
        slope = 0.5 * eta / np.sqrt(members @ plan + np.asarray(1e-3, cost.dtype))
        most, near = (1000, tolerance) if left == 1 else (200, COARSE)
        plan, potentials = sinkhorn(cost + slope[own], reg, potentials, most, near)
    return plan
