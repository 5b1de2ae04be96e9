"""Methods that are told a few target labels, and the self-labelling SVM, against their definitions."""

import numpy as np
import pytest
import torch
from sklearn.svm import SVC

from adapters.align.asvm import AdaptiveSvm, hinge_dual
from adapters.align.cdls import Cdls
from adapters.align.dasvm import Dasvm
from adapters.align.hfa import Hfa
from adapters.align.stn import Stn, soft_mmd
from adapters.align.tradaboost import TrAdaBoost
from studio.core.errors import DataError

FEW = [TrAdaBoost, AdaptiveSvm, Hfa, Cdls, Stn]


def problem(n: int = 90, m: int = 75, d: int = 8, count: int = 3, seed: int = 0):
    """Domains of `count` classes and the rows of three labelled target samples a class."""
    rng = np.random.default_rng(seed)
    centres = 2.5 * rng.normal(size=(count, d))
    ys, yt = np.arange(n) % count, np.arange(m) % count
    xs, xt = centres[ys] + rng.normal(size=(n, d)), centres[yt] + 0.5 + rng.normal(size=(m, d))
    few = np.concatenate([np.flatnonzero(yt == label)[:3] for label in range(count)])
    return xs, ys, xt, yt, few


@pytest.mark.parametrize("method", FEW)
def test_few_labels_are_enough_for_easy_classes(method):
    xs, ys, xt, yt, few = problem()
    estimator = method().fit(xs, ys, xt, few, yt[few])
    assert (estimator.predict(xt) == yt).mean() > 0.9
    np.testing.assert_allclose(estimator.predict_proba(xt).sum(axis=1), 1.0)


@pytest.mark.parametrize("method", [Hfa, Cdls, Stn])
def test_source_and_target_may_differ_in_dimension(method):
    xs, ys, xt, yt, few = problem()
    turned = xs @ np.random.default_rng(1).normal(size=(8, 13))
    estimator = method().fit(turned, ys, xt, few, yt[few])
    assert (estimator.predict(xt) == yt).mean() > 0.9


@pytest.mark.parametrize("method", [TrAdaBoost, AdaptiveSvm])
def test_other_methods_refuse_different_dimensions_and_name_those_that_take_them(method):
    xs, ys, xt, yt, few = problem()
    with pytest.raises(DataError, match=r"The source has 5 features, the target 8.*hfa, align/cdls and align/stn"):
        method().fit(xs[:, :5], ys, xt, few, yt[few])


@pytest.mark.parametrize("method", FEW)
def test_no_label_at_all_is_told(method):
    xs, ys, xt, _, _ = problem()
    with pytest.raises(DataError, match="labelled_per_class"):
        method().fit(xs, ys, xt, np.zeros(0, int), np.zeros(0, int))


@pytest.mark.parametrize("method", FEW)
def test_one_label_a_class_works(method):
    xs, ys, xt, yt, few = problem()
    estimator = method().fit(xs, ys, xt, few[::3], yt[few[::3]])
    assert (estimator.predict(xt) == yt).mean() > 0.6


@pytest.mark.parametrize("method", FEW)
def test_stored_state_predicts_the_same(method):
    xs, ys, xt, yt, few = problem()
    first = method().fit(xs, ys, xt, few, yt[few])
    second = method(first.params)
    second.load_state(first.state())
    np.testing.assert_allclose(second.predict_proba(xt), first.predict_proba(xt))


def test_hinge_dual_is_an_svm_without_bias_where_the_source_says_nothing():
    xs, ys, _, _, _ = problem(40, 40, 4, 2)
    signs = np.where(ys == 1, 1.0, -1.0)
    alpha = hinge_dual(xs, signs, np.zeros(40), 0.5, rounds=5000)
    assert alpha.min() >= 0
    assert alpha.max() <= 0.5
    # without a bias the only conditions are those of the box: the slope of the dual points out of it or is 0
    slope = 1.0 - signs * (xs @ (xs.T @ (alpha * signs)))
    assert slope[alpha < 1e-9].max(initial=-1) < 1e-3
    assert slope[alpha > 0.5 - 1e-9].min(initial=1) > -1e-3
    inside = (alpha > 1e-9) & (alpha < 0.5 - 1e-9)
    assert np.abs(slope[inside]).max(initial=0) < 1e-3


def test_an_adaptive_svm_that_pays_nothing_for_errors_is_the_source_svm():
    xs, ys, xt, yt, few = problem()
    free = AdaptiveSvm(AdaptiveSvm.Params(cost=1e-6)).fit(xs, ys, xt, few, yt[few])
    wrong = AdaptiveSvm(AdaptiveSvm.Params(cost=1e-6)).fit(xs, ys, xt, few, (yt[few] + 1) % 3)
    np.testing.assert_allclose(free.predict_proba(xt), wrong.predict_proba(xt), atol=1e-4)


def test_tradaboost_forgets_source_samples_that_the_target_speaks_against():
    xs, ys, xt, yt, few = problem(n=120)
    lied = ys.copy()
    lied[:60] = (lied[:60] + 1) % 3  # half of the source is labelled by another rule
    few = np.concatenate([np.flatnonzero(yt == label)[:8] for label in range(3)])
    method = TrAdaBoost(TrAdaBoost.Params(labelled_per_class=8)).fit(xs, lied, xt, few, yt[few])
    assert (method.predict(xt) == yt).mean() > 0.9


def test_of_several_sources_the_one_that_fits_leads():
    xs, ys, xt, yt, few = problem(n=120)
    domains = np.repeat(["wrong", "right"], 60)
    lied = np.where(domains == "wrong", (ys + 1) % 3, ys)
    method = TrAdaBoost().fit(xs, lied, xt, few, yt[few], sample_domain=domains)
    assert (method.predict(xt) == yt).mean() > 0.95


def test_the_best_metric_of_two_classes_has_one_direction_and_a_closed_form():
    """min over H >= 0, tr H <= lambda is reached by one SVM on (1 + lambda) K and H = lambda w w^T / |w|^2."""
    rng = np.random.default_rng(0)
    y = np.r_[np.tile([1, -1], 15), np.tile([1, -1], 4)].astype(float)
    x = np.zeros((38, 8))
    x[:30, :5], x[30:, 5:] = rng.normal(size=(30, 5)), rng.normal(size=(8, 3))
    x[:30, 0] += y[:30]
    x[30:, 6] += y[30:]

    def dual(kernel):
        model = SVC(kernel="precomputed", C=1.0, tol=1e-8).fit(kernel, y)
        a = np.zeros(38)
        a[model.support_] = model.dual_coef_[0]
        return np.abs(a).sum() - a @ kernel @ a / 2, a

    trace = 2.0
    closed, a = dual((1 + trace) * (x @ x.T))
    w = x.T @ a
    at_best, _ = dual(x @ (np.eye(8) + trace * np.outer(w, w) / (w @ w)) @ x.T)
    assert at_best == pytest.approx(closed, rel=1e-5)
    for _ in range(30):  # no other metric of this trace is better
        v = rng.normal(size=(8, 2))
        metric = trace * v @ v.T / np.trace(v @ v.T)
        assert dual(x @ (np.eye(8) + metric) @ x.T)[0] >= closed - 1e-5


def test_of_two_classes_hfa_ends_at_the_closed_form():
    xs, ys, xt, yt, few = problem(count=2)
    trace = 3.0
    found = Hfa(Hfa.Params(normalize="none", trace=trace, steps=300)).fit(xs, ys, xt, few, yt[few])
    scales = [np.sqrt((x * x).sum(axis=1).mean()) for x in (xs, xt)]
    x = np.zeros((len(xs) + len(few), 16))
    x[: len(xs), :8], x[len(xs) :, 8:] = xs / scales[0], xt[few] / scales[1]
    weights = np.repeat([1.0, len(xs) / len(few)], [len(xs), len(few)])
    y = np.concatenate([ys, yt[few]])
    model = SVC(kernel="precomputed", C=1.0, tol=1e-8).fit((1 + trace) * (x @ x.T), y == 1, sample_weight=weights)
    a = np.zeros(len(x))
    a[model.support_] = model.dual_coef_[0]
    expected = (1 + trace) * (x.T @ a)[8:] / scales[1]
    np.testing.assert_allclose(found.classifier.weight[:, 1], expected, atol=0.03 * np.abs(expected).max())


def test_dasvm_walks_to_the_target():
    rng = np.random.default_rng(0)
    angle, ys = 0.5, np.arange(200) % 2
    xs = np.where(ys[:, None] == 1, 1.5, -1.5) * np.array([1.0, 0.0]) + 0.5 * rng.normal(size=(200, 2))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    xt = xs @ turn
    estimator = Dasvm(Dasvm.Params(normalize="none")).fit(xs, ys, xt)
    assert (estimator.predict(xt) == ys).mean() > 0.97
    binary = estimator.predict_proba(xt)
    assert binary.shape == (200, 2)


def test_dasvm_bears_a_class_that_the_target_lacks():
    xs, ys, xt, yt, _ = problem()
    found = Dasvm().fit(xs, ys, xt[yt < 2]).predict(xt[yt < 2])
    assert (found == yt[yt < 2]).mean() > 0.9


def test_soft_mmd_is_the_distance_of_weighted_means_written_out():
    rng = np.random.default_rng(0)
    zs, zt, of_s = rng.normal(size=(7, 4)), rng.normal(size=(9, 4)), np.eye(3)[rng.integers(0, 2, 7)]
    of_t = rng.dirichlet(np.ones(3), 9)
    expected = ((zs.mean(0) - zt.mean(0)) ** 2).sum()
    for label in (0, 1):  # the source has nothing of class 2
        mean = (of_t[:, [label]] * zt).sum(0) / of_t[:, label].sum()
        expected += ((zs[of_s[:, label] == 1].mean(0) - mean) ** 2).sum()
    found = soft_mmd(*(torch.from_numpy(array) for array in (zs, of_s, zt, of_t)))
    assert float(found) == pytest.approx(expected, rel=1e-12)
