"""Discriminator weighting: the odds of a classifier that tells target from source."""

import numpy as np
import scipy.linalg
import scipy.optimize
from pydantic import Field
from scipy.special import expit

from adapters.align.weighting import Reweighter, WeightParams
from studio.core.registry import register


class DiscriminatorParams(WeightParams):
    inverse_penalty: float = Field(1.0, gt=0, le=1e6, description="C of the logistic regression between domains")
    largest: float = Field(1000.0, gt=1, le=1e9, description="largest weight, in mean weights")


@register("align/discriminator")
class Discriminator(Reweighter):
    """w(x) = n/m p(target | x) / p(source | x) by logistic regression. Bickel, Brueckner, Scheffer 2007, eq. 6."""

    title = "Discriminator weighting"
    paper = "Bickel, Brueckner, Scheffer 2007, Discriminative Learning for Differing Training and Test Distributions"
    Params = DiscriminatorParams

    def weights(self, xs: np.ndarray, xt: np.ndarray) -> np.ndarray:
        direction, bias = domain_direction(xs, xt, self.params.inverse_penalty)
        logit = (xs @ direction).astype(np.float64) + bias
        weights = np.exp(logit - logit.max())
        return np.minimum(weights, self.params.largest * weights.mean())


def domain_direction(xs: np.ndarray, xt: np.ndarray, c: float = 1.0) -> tuple[np.ndarray, float]:
    """w [d] and b that minimise |w|^2 / 2 + C sum log(1 + exp(-+(x w + b))), + for target.

    L-BFGS in coordinates whitened by the bound X^T X / 4 of the Hessian (Boehning and Lindsay 1988), factored
    once: a few passes over the samples remain. With fewer samples than features the problem is turned into
    the samples' span first, so the factored matrix is of the smaller size.
    """
    n, m, d = len(xs), len(xt), xs.shape[1]
    middle = (xs.sum(axis=0) + xt.sum(axis=0)) / (n + m)
    if n + m < d:
        both = np.concatenate([xs, xt]).astype(np.float64) - middle  # the ridge below is less than float32 can add
        gram = both @ both.T
        gram.flat[:: len(gram) + 1] += 1e-10 * np.trace(gram) / len(gram)
        rows = scipy.linalg.cholesky(gram, lower=True)
        direction, bias = _whitened(rows[:n], rows[n:], np.zeros(n + m), c)
        direction = both.T @ scipy.linalg.solve_triangular(rows.T, direction)
        return direction, bias - float(middle @ direction)
    return _whitened(xs, xt, middle, c)


def _whitened(xs: np.ndarray, xt: np.ndarray, middle: np.ndarray, c: float) -> tuple[np.ndarray, float]:
    total = len(xs) + len(xt)
    moment = xs.T @ xs + xt.T @ xt - total * np.outer(middle, middle)
    moment *= c / 4
    moment.flat[:: len(moment) + 1] += 1.0
    chol = scipy.linalg.cholesky(moment, lower=True, overwrite_a=True, check_finite=False)
    root = np.sqrt(c * total / 4)

    def unfold(v: np.ndarray) -> tuple[np.ndarray, float]:
        w = scipy.linalg.solve_triangular(chol, v[:-1].astype(chol.dtype), trans=1, lower=True, check_finite=False)
        return w, v[-1] / root

    def objective(v: np.ndarray) -> tuple[float, np.ndarray]:
        w, bias = unfold(v)
        shift = bias - float(middle @ w)
        source, target = (xs @ w).astype(np.float64) + shift, (xt @ w).astype(np.float64) + shift
        loss = c * (np.logaddexp(0, source).sum() + np.logaddexp(0, -target).sum()) + 0.5 * float(w @ w)
        left, right = c * expit(source), -c * expit(-target)
        pull = left.sum() + right.sum()
        slope = left.astype(xs.dtype) @ xs + right.astype(xs.dtype) @ xt - pull * middle + w
        slope = scipy.linalg.solve_triangular(chol, slope.astype(chol.dtype), lower=True, check_finite=False)
        return loss, np.append(slope.astype(np.float64), pull / root)

    found = scipy.optimize.minimize(
        objective,
        np.zeros(len(moment) + 1),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 200, "ftol": 1e-10, "gtol": 1e-6},
    )
    w, bias = unfold(found.x)
    return w, float(bias - middle @ w)
