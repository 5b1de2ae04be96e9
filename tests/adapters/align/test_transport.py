"""Optimal transport against POT and exact plans; JDOT against its own objective."""

import numpy as np
import pytest

from adapters.align.jdot import Jdot
from adapters.align.ot import OptimalTransport, barycentres, exact, mean_cost
from adapters.align.sinkhorn import group_lasso, sinkhorn

ot = pytest.importorskip("ot")


def classes(n: int = 90, m: int = 75, d: int = 6, count: int = 3, seed: int = 0):
    """Source and target of `count` classes; the target is moved and turned a little."""
    rng = np.random.default_rng(seed)
    centres = 3 * rng.normal(size=(count, d))
    ys, yt = np.arange(n) % count, np.arange(m) % count
    xs = centres[ys] + rng.normal(size=(n, d))
    return xs, ys, centres[yt] + 0.7 + rng.normal(size=(m, d)), yt


def uniform(plan):
    n, m = plan.shape
    np.testing.assert_allclose(plan.sum(axis=1), np.full(n, 1 / n), rtol=1e-4)
    np.testing.assert_allclose(plan.sum(axis=0), np.full(m, 1 / m), rtol=1e-2)


@pytest.mark.parametrize("reg", [1.0, 0.1, 0.05])
def test_the_entropic_plan_is_that_of_a_slow_float64_solver(reg):
    xs, _, xt, _ = classes(45, 36)
    cost = mean_cost(xs, xt)
    plan, _ = sinkhorn(cost, reg, iterations=5000, tolerance=1e-6)
    a, b = np.full(45, 1 / 45), np.full(36, 1 / 36)
    slow = ot.bregman.sinkhorn_log(a, b, cost.astype(float), reg, numItermax=5000, stopThr=1e-8)
    uniform(plan)
    assert plan.min() >= 0
    assert np.abs(plan - slow).sum() < 1e-3


def test_a_plan_goes_on_from_the_potentials_of_a_like_problem():
    xs, _, xt, _ = classes()
    cost = mean_cost(xs, xt)
    plan, potentials = sinkhorn(cost, 0.1, tolerance=1e-6)
    again, _ = sinkhorn(cost, 0.1, potentials, iterations=11, tolerance=1e-5)
    assert np.abs(plan - again).sum() < 1e-4


def test_costs_far_beyond_the_range_of_float32_leave_no_nan():
    rng = np.random.default_rng(0)
    cost = rng.uniform(0, 1, size=(20, 30)).astype(np.float32)
    cost[:, 4] += 50.0
    plan, _ = sinkhorn(cost, 0.01, iterations=5000, tolerance=1e-4)
    assert np.isfinite(plan).all()
    uniform(plan)


def test_the_group_lasso_plan_is_no_worse_than_that_of_pot():
    xs, ys, xt, _ = classes()
    cost, reg, eta = mean_cost(xs, xt).astype(float), 0.3, 0.2

    def value(plan):
        sums = np.stack([plan[ys == c].sum(axis=0) for c in range(3)])
        entropy = (plan * np.log(np.maximum(plan, 1e-300))).sum()
        return (plan * cost).sum() + reg * entropy + eta * np.sqrt(sums + 1e-3).sum()

    ours = group_lasso(cost.astype(np.float32), ys, reg, eta)
    a, b = np.full(90, 1 / 90), np.full(75, 1 / 75)
    theirs = ot.da.sinkhorn_lpl1_mm(a, ys, b, cost, reg, eta=eta)
    uniform(ours)
    assert value(ours) <= value(theirs) + 1e-4 * abs(value(theirs))
    assert value(ours) < value(sinkhorn(cost, reg)[0])


def test_exact_transport_of_shuffled_samples_finds_the_shuffle():
    rng = np.random.default_rng(0)
    xs = rng.normal(size=(40, 3))
    order = rng.permutation(40)
    plan = exact(mean_cost(xs, xs[order]))
    np.testing.assert_allclose(barycentres(plan, xs[order]), xs, atol=1e-6)


@pytest.mark.parametrize("regularizer", ["entropic", "group-lasso", "none"])
def test_transport_undoes_a_shift(regularizer):
    xs, ys, xt, yt = classes()
    params = OptimalTransport.Params(normalize="none", regularizer=regularizer)
    estimator = OptimalTransport(params).fit(xs, ys, xt + 5)
    assert (estimator.predict(xt + 5) == yt).mean() > 0.9


@pytest.mark.parametrize("method", [OptimalTransport, Jdot])
def test_a_shift_and_a_scale_of_both_domains_change_nothing(method):
    xs, ys, xt, _ = classes()
    plain = method(method.Params(normalize="none")).fit(xs, ys, xt)
    moved = method(method.Params(normalize="none")).fit(4 * xs + 1, ys, 4 * xt + 1)
    assert (plain.predict(xt) == moved.predict(4 * xt + 1)).mean() > 0.97


@pytest.mark.parametrize("method", [OptimalTransport, Jdot])
@pytest.mark.parametrize("shape", [(30, 24, 60), (60, 48, 4)])
def test_few_samples_of_many_features_and_many_of_few_both_work(method, shape):
    xs, ys, xt, yt = classes(*shape)
    estimator = method().fit(xs, ys, xt)
    found = estimator.predict_proba(xt)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-5)
    assert (found.argmax(axis=1) == yt).mean() > 0.8


@pytest.mark.parametrize("method", [OptimalTransport, Jdot])
def test_a_class_that_the_target_lacks_is_no_obstacle(method):
    xs, ys, xt, yt = classes()
    there = yt < 2
    found = method().fit(xs, ys, xt[there]).predict_proba(xt[there])
    assert np.isfinite(found).all()


def test_many_samples_are_sampled_and_this_is_said():
    xs, ys, xt, yt = classes()
    estimator = OptimalTransport(OptimalTransport.Params(most=50)).fit(xs, ys, xt)
    assert "50 of 90 source and 50 of 75 target" in estimator.note
    assert (estimator.predict(xt) == yt).mean() > 0.9


@pytest.mark.parametrize("method", [OptimalTransport, Jdot])
def test_stored_state_predicts_the_same(method):
    xs, ys, xt, _ = classes()
    first = method().fit(xs, ys, xt)
    second = method(first.params)
    second.load_state(first.state())
    np.testing.assert_allclose(second.predict_proba(xt), first.predict_proba(xt))
