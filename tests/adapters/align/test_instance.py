"""Importance weighting against slow references, known density ratios and SKADA."""

import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from adapters.align.discriminator import Discriminator, domain_direction
from adapters.align.kernels import Kernel
from adapters.align.kliep import Kliep, kliep
from adapters.align.kmm import KernelMeanMatching, box_slab_qp, project
from adapters.align.ulsif import Ulsif, leave_one_out, ulsif
from adapters.align.weighting import mean_one
from studio.core.errors import DataError

METHODS = [KernelMeanMatching, Kliep, Ulsif, Discriminator]


def shifted(n: int = 300, m: int = 300, d: int = 2, shift: float = 1.0, seed: int = 0):
    """Source around 0, target around `shift` in the first feature, labels by the second."""
    rng = np.random.default_rng(seed)
    xs, xt = rng.normal(size=(n, d)), rng.normal(size=(m, d))
    xt[:, 0] += shift
    return xs, (xs[:, 1] > 0).astype(int), xt


@pytest.mark.parametrize("method", METHODS)
def test_the_ratio_of_two_gaussians_is_recovered(method):
    xs, ys, xt = shifted(300, 300, shift=0.7)
    found = method(method.Params(normalize="none")).fit(xs, ys, xt).sample_weights
    true = np.exp(0.7 * xs[:, 0] - 0.245)
    assert found.min() >= 0
    assert found.mean() == pytest.approx(1.0)
    least = 0.35 if method is KernelMeanMatching else 0.85  # KMM matches means; its single weights are rough
    assert scipy.stats.spearmanr(found, true).statistic > least
    assert (found * xs[:, 0]).mean() == pytest.approx(0.7, abs=0.2)  # the weighted source has the target's mean


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(40, 30, 100), (100, 30, 5)])
def test_few_samples_of_many_features_and_many_of_few_both_work(method, shape):
    xs, ys, xt = shifted(*shape)
    estimator = method().fit(xs, ys, xt)
    found = estimator.predict_proba(xt)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    assert np.isfinite(estimator.sample_weights).all()


@pytest.mark.parametrize("method", METHODS)
def test_weights_follow_their_samples_when_these_are_shuffled(method):
    xs, ys, xt = shifted(80, 60)
    order = np.random.default_rng(1).permutation(len(xs))
    plain = method(method.Params(gamma=0.5) if "gamma" in method.Params.model_fields else None).fit(xs, ys, xt)
    again = method(plain.params).fit(xs[order], ys[order], xt)
    np.testing.assert_allclose(again.sample_weights, plain.sample_weights[order], rtol=0.02, atol=0.02)


@pytest.mark.parametrize("method", METHODS)
def test_a_class_that_the_target_lacks_is_no_obstacle(method):
    rng = np.random.default_rng(0)
    ys = np.repeat([0, 1, 2], 40)
    centres = 6 * np.eye(3)
    xs, xt = centres[ys] + rng.normal(size=(120, 3)), centres[ys[:80]] + rng.normal(size=(80, 3))
    estimator = method(method.Params(normalize="none")).fit(xs, ys, xt)
    assert (estimator.predict(xt) == ys[:80]).mean() > 0.95
    assert estimator.sample_weights[80:].mean() < 0.5 * estimator.sample_weights[:80].mean()


def test_kmm_reaches_the_objective_of_a_general_solver():
    xs, _, xt = shifted(40, 30)
    kernel = Kernel("rbf", 0.5)
    matrix, kappa = kernel(xs, xs), 40 / 30 * kernel(xs, xt).sum(axis=1)
    found = box_slab_qp(matrix.__matmul__, kappa, 3.0, 40 * 0.9, 40 * 1.1, 20000, 1e-10)
    limits = scipy.optimize.LinearConstraint(np.ones(40), 40 * 0.9, 40 * 1.1)
    slow = scipy.optimize.minimize(
        lambda b: b @ matrix @ b / 2 - kappa @ b, np.ones(40), jac=lambda b: matrix @ b - kappa, method="SLSQP",
        bounds=[(0, 3)] * 40, constraints=limits, options={"maxiter": 2000, "ftol": 1e-12},
    )  # fmt: skip
    assert found.min() >= 0
    assert found.max() <= 3
    assert 36 - 1e-6 <= found.sum() <= 44 + 1e-6
    assert found @ matrix @ found / 2 - kappa @ found <= slow.fun + 1e-5 * abs(slow.fun)


def test_the_projection_is_the_nearest_feasible_point():
    rng = np.random.default_rng(0)
    b = 3 * rng.normal(size=50)
    found = project(b, 2.0, 40.0, 45.0)
    assert found.sum() == pytest.approx(40.0)
    for _ in range(200):  # no feasible point lies nearer
        other = project(3 * rng.normal(size=50), 2.0, 40.0, 45.0)
        assert (b - found) @ (other - found) <= 1e-6


def test_kmm_of_many_samples_says_what_it_approximates(monkeypatch):
    xs, ys, xt = shifted(400, 200)
    exact = KernelMeanMatching().fit(xs, ys, xt)
    monkeypatch.setattr("adapters.align.kmm.EXACT", 100)
    near = KernelMeanMatching().fit(xs, ys, xt)
    assert exact.note == ""
    assert "Nystrom" in near.note
    assert "seed 0" in near.note
    kernel = Kernel("rbf", 1.0)
    zs, zt = exact.source_norm(xs), exact.target_norm(xt)

    def distance(weights):  # of kernel means
        return weights @ kernel(zs, zs) @ weights / 400**2 - 2 * (weights @ kernel(zs, zt)).mean() / 400

    assert distance(near.sample_weights) == pytest.approx(distance(exact.sample_weights), rel=0.02)


def test_kliep_reaches_the_likelihood_of_a_general_solver():
    xs, _, xt = shifted(60, 50)
    kernel = Kernel("rbf", 0.5)
    target, source = kernel(xt, xt[:12]), kernel(xs, xt[:12]).mean(axis=0)
    found = kliep(target, source)
    slow = scipy.optimize.minimize(
        lambda a: -np.log(target @ a).mean(), np.full(12, 1 / source.sum()), method="SLSQP", bounds=[(1e-9, None)] * 12,
        constraints={"type": "eq", "fun": lambda a: source @ a - 1}, options={"maxiter": 2000, "ftol": 1e-12},
    )  # fmt: skip
    assert found.min() >= 0
    assert source @ found == pytest.approx(1.0)
    assert -np.log(target @ found).mean() <= slow.fun + 1e-6


def test_the_closed_leave_one_out_error_is_that_of_leaving_one_out():
    xs, _, xt = shifted(15, 12)
    kernel = Kernel("rbf", 0.5)
    source, target = kernel(xs, xt[:5]), kernel(xt, xt[:5])
    slow = []
    for i in range(12):
        a = ulsif(np.delete(source, i, 0), np.delete(target, i, 0), 0.1)
        slow.append((source[i] @ a) ** 2 / 2 - target[i] @ a)
    assert leave_one_out(source, target, 0.1) == pytest.approx(np.mean(slow), rel=1e-9)


@pytest.mark.parametrize("d", [3, 80])
def test_the_discriminator_is_the_logistic_regression_of_scikit_learn(d):
    from sklearn.linear_model import LogisticRegression

    xs, _, xt = shifted(40, 25, d)
    direction, bias = domain_direction(xs, xt, 0.7)
    x, y = np.concatenate([xs, xt]), np.repeat([0, 1], [40, 25])
    model = LogisticRegression(C=0.7, tol=1e-10, max_iter=5000).fit(x, y)
    np.testing.assert_allclose(direction, model.coef_[0], atol=2e-4)
    assert bias == pytest.approx(model.intercept_[0], abs=2e-4)


def test_kmm_is_no_worse_than_skada():
    skada = pytest.importorskip("skada")
    from skada._reweight import KMMReweightAdapter

    del skada
    xs, _, xt = shifted(80, 60)
    adapter = KMMReweightAdapter(gamma=0.5, solver="scipy")
    adapter.fit(np.concatenate([xs, xt]), sample_domain=np.repeat([1, -2], [80, 60]))
    kernel = Kernel("rbf", 0.5)
    matrix, kappa = kernel(xs, xs), 80 / 60 * kernel(xs, xt).sum(axis=1)
    ours = KernelMeanMatching(KernelMeanMatching.Params(gamma=0.5)).weights(xs, xt)

    def value(b):
        return b @ matrix @ b / 2 - kappa @ b

    assert value(ours) <= value(adapter.source_weights_) + 1e-4 * abs(value(ours))


def test_domains_without_a_common_region_are_told():
    with pytest.raises(DataError, match=r"weight 0.*Normalise"):
        mean_one(np.zeros(5))


@pytest.mark.parametrize("method", METHODS)
def test_nan_is_refused_with_the_domain_named(method):
    xs, ys, xt = shifted(30, 30)
    xt[3, 0] = np.nan
    with pytest.raises(DataError, match="target: 1 of 30 rows"):
        method().fit(xs, ys, xt)


def test_few_samples_of_many_float32_features_tell_domains_apart_even_where_rows_repeat():
    rng = np.random.default_rng(0)
    xs, xt = (np.repeat(rng.normal(size=(20, 256)) + shift, 3, axis=0).astype(np.float32) for shift in (0.0, 1.0))
    direction, bias = domain_direction(xs, xt)
    assert (xt @ direction + bias > 0).all() and (xs @ direction + bias < 0).all()
