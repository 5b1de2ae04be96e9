"""Transferability scores: against slow references from their definitions, and what must not change them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from adapters.rank.scores import (
    FEATURE_SCORES,
    POSTERIOR_SCORES,
    gbc,
    h_score,
    knn,
    leep,
    linear_probe,
    logme,
    nce,
    transrate,
)
from adapters.rank.source_classes import mixture
from studio.core.errors import DataError


def clusters(n: int = 60, d: int = 8, classes: int = 3, apart: float = 1.0, seed: int = 0):
    draw = np.random.default_rng(seed)
    y = np.arange(n) % classes
    return draw.normal(size=(n, d)) + apart * draw.normal(size=(classes, d))[y], y


def soft(n: int = 50, z: int = 6, seed: int = 0):
    draw = np.random.default_rng(seed)
    return draw.dirichlet(np.full(z, 0.5), n), draw.integers(0, 3, n)


@pytest.mark.parametrize(("n", "d"), [(40, 5), (24, 24), (20, 30)])
def test_logme_is_the_highest_evidence_of_the_labels(n, d):
    x, y = clusters(n, d, apart=0.5)

    def evidence(logs, target):  # y is normal with covariance I / beta + x x^T / alpha
        alpha, beta = np.exp(np.clip(logs, -30, 30))
        covariance = np.eye(n) / beta + x @ x.T / alpha
        return multivariate_normal(np.zeros(n), covariance).logpdf(target)

    best = []
    for label in range(3):
        target = (y == label).astype(float)
        starts = [minimize(lambda logs, t=target: -evidence(logs, t), [a, 1.0], method="Nelder-Mead",
                           options={"xatol": 1e-7, "fatol": 1e-10}) for a in (0.0, 4.0)]  # fmt: skip
        best.append(-min(found.fun for found in starts) / n)
    assert logme(x, y) == pytest.approx(np.mean(best), abs=1e-5)


def test_leep_is_the_likelihood_through_the_source_classes():
    theta, y = soft()
    joint = np.zeros((3, 6))
    for i, label in enumerate(y):
        joint[label] += theta[i] / len(y)
    by_hand = np.mean([
        np.log(sum(joint[label, z] / joint[:, z].sum() * theta[i, z] for z in range(6))) for i, label in enumerate(y)
    ])  # fmt: skip
    assert leep(theta, y) == pytest.approx(by_hand, abs=1e-12)


def test_nce_is_the_entropy_left_once_the_source_class_is_known():
    theta, y = soft()
    z = theta.argmax(axis=1)
    entropy = 0.0
    for source in np.unique(z):
        for label in np.unique(y[z == source]):
            both = np.mean((z == source) & (y == label))
            entropy -= both * np.log(both / np.mean(z == source))
    assert nce(theta, y) == pytest.approx(-entropy, abs=1e-12)


@pytest.mark.parametrize(("n", "d"), [(60, 8), (30, 50)])
def test_h_score_is_the_trace_with_the_shrunk_covariance(n, d):
    from sklearn.covariance import ledoit_wolf

    x, y = clusters(n, d)
    covariance, shrinkage = ledoit_wolf(x)
    means = np.stack([x[y == label].mean(axis=0) for label in y])  # each image stands for its class
    between = np.cov(means.T, bias=True)
    expected = (1 - shrinkage) * np.trace(np.linalg.inv(covariance) @ between)
    assert h_score(x, y) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(("n", "d"), [(60, 8), (30, 50)])
def test_transrate_is_the_difference_of_two_coding_rates(n, d):
    x, y = clusters(n, d)
    z = (x - x.mean(axis=0)) / np.sqrt(np.trace(np.cov(x.T, bias=True)))

    def rate(part):
        return 0.5 * np.log(np.linalg.eigvalsh(np.eye(d) + part.T @ part / (len(part) * 1e-4))).sum()

    expected = rate(z) - sum(np.mean(y == label) * rate(z[y == label]) for label in range(3))
    assert transrate(x, y) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(("n", "d"), [(60, 8), (30, 20)])
def test_gbc_sums_the_overlaps_of_spherical_gaussians(n, d):
    x, y = clusters(n, d, apart=0.4)
    k = min(n, d)  # PCA keeps all dimensions here
    expected = 0.0
    for a in range(3):
        for b in range(3):
            if a != b:
                first, second = x[y == a], x[y == b]
                one, two = (np.eye(k) * np.var(part, axis=0, ddof=1).mean() for part in (first, second))
                middle, gap = (one + two) / 2, first.mean(axis=0) - second.mean(axis=0)
                distance = gap @ np.linalg.inv(middle) @ gap / 8
                distance += 0.5 * np.log(np.linalg.det(middle) / np.sqrt(np.linalg.det(one) * np.linalg.det(two)))
                expected -= np.exp(-distance)
    assert gbc(x, y) == pytest.approx(expected, rel=1e-8)


def test_knn_leaves_each_image_out_and_lets_the_nearer_vote_more():
    x, y = clusters(apart=0.7)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    hits = 0
    for i in range(len(x)):
        others = [j for j in np.argsort(-(unit @ unit[i])) if j != i][:5]
        votes = [sum(1 + unit[j] @ unit[i] for j in others if y[j] == label) for label in range(3)]
        hits += int(np.argmax(votes) == y[i])
    assert knn(x, y) == pytest.approx(hits / len(x))


def test_linear_probe_is_the_same_in_the_row_space_as_in_the_features():
    from sklearn.linear_model import LogisticRegression

    from studio.data.splits import k_folds

    x, y = clusters(45, 120, apart=0.25)
    hits = 0
    for train, held in k_folds(y, 5, 0):
        centre = x[train].mean(axis=0)
        scale = np.sqrt(((x[train] - centre) ** 2).sum(axis=1).mean())
        model = LogisticRegression(C=100, max_iter=5000, tol=1e-8).fit((x[train] - centre) / scale, y[train])
        hits += (model.predict((x[held] - centre) / scale) == y[held]).sum()
    assert linear_probe(x, y) == pytest.approx(hits / 45, abs=1.01 / 45)
    assert 0.4 < linear_probe(x, y) < 1


def test_a_probe_of_noise_is_right_no_more_often_than_chance():
    x, y = clusters(300, 200, apart=0)
    assert abs(linear_probe(x, y) - 1 / 3) < 0.1
    assert abs(knn(x, y) - 1 / 3) < 0.1


@pytest.mark.parametrize("name", FEATURE_SCORES)
@pytest.mark.parametrize(("n", "d"), [(90, 10), (48, 70)])
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000))
def test_a_rotation_or_other_class_numbers_change_nothing(name, n, d, seed):
    x, y = clusters(n, d, apart=0.8, seed=seed)
    rotation, _ = np.linalg.qr(np.random.default_rng(seed + 1).normal(size=(d, d)))
    score = FEATURE_SCORES[name]
    close = {"abs": 2.01 / n} if name == "linear-probe" else {"rel": 1e-6, "abs": 1e-9}
    assert score(x @ rotation, y) == pytest.approx(score(x, y), **close)
    if name != "linear-probe":  # the folds are drawn class by class
        assert score(x, np.array([17, 3, 8])[y]) == pytest.approx(score(x, y), **close)
    assert score(x, y + 5) == pytest.approx(score(x, y), rel=1e-12)


@pytest.mark.parametrize("name", POSTERIOR_SCORES)
def test_other_numbers_of_source_or_target_classes_change_nothing(name):
    theta, y = soft()
    score = POSTERIOR_SCORES[name]
    assert score(theta[:, ::-1], np.array([9, 4, 7])[y]) == pytest.approx(score(theta, y), rel=1e-12)


@pytest.mark.parametrize("name", FEATURE_SCORES)
def test_classes_further_apart_score_higher(name):
    scores = [FEATURE_SCORES[name](*clusters(900, 10, apart=apart)) for apart in (0.0, 0.3, 0.7)]
    assert scores[0] < scores[1] < scores[2]


@pytest.mark.parametrize("name", POSTERIOR_SCORES)
def test_source_classes_that_follow_the_labels_more_closely_score_higher(name):
    theta, y = soft(300, 3)
    sure = np.eye(3)[y]
    scores = [POSTERIOR_SCORES[name](share * sure + (1 - share) * theta, y) for share in (0.0, 0.4, 1.0)]
    assert scores[0] < scores[1] < scores[2] == pytest.approx(0, abs=1e-12)


def test_a_mixture_finds_clusters_where_there_are_some():
    scores = []
    for apart in (0.0, 4.0):
        x, y = clusters(120, 20, apart=apart)
        theta = mixture(x, 3, seed=0)
        np.testing.assert_allclose(theta.sum(axis=1), 1)
        scores.append(leep(theta, y))
    assert scores[0] < scores[1] - 0.3


BROKEN = {
    "NaN": (lambda x, y: (np.where(np.arange(len(x))[:, None] == 3, np.nan, x), y), "1 of 60 rows hold NaN"),
    "one class": (lambda x, y: (x, y * 0), "one class only"),
    "one image a class": (lambda x, y: (x, np.arange(len(y))), "60 of 60 classes have one image only"),
    "constant": (lambda x, y: (x * 0 + 1, y), "all 60 rows are equal"),
    "labels missing": (lambda x, y: (x, y[:-1]), "one for each of the 60 rows"),
    "flat": (lambda x, y: (x[:, 0], y), "at least two rows"),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
@pytest.mark.parametrize("name", FEATURE_SCORES)
def test_broken_features_are_refused_with_a_sentence(name, what):
    spoil, sentence = BROKEN[what]
    with pytest.raises(DataError, match=sentence):
        FEATURE_SCORES[name](*spoil(*clusters()))


@pytest.mark.parametrize("name", POSTERIOR_SCORES)
def test_broken_probabilities_are_refused_with_a_sentence(name):
    theta, y = soft()
    for bad in (theta * 2, np.where(theta == theta.max(), np.nan, theta)):
        with pytest.raises(DataError, match="each row summing to 1"):
            POSTERIOR_SCORES[name](bad, y)
    with pytest.raises(DataError, match="one class only"):
        POSTERIOR_SCORES[name](theta, y * 0)


@pytest.mark.parametrize("name", FEATURE_SCORES)
def test_features_that_tell_all_and_repeat_themselves_give_a_number(name):
    y = np.arange(30) % 3
    x = np.repeat(np.eye(3)[y], 4, axis=1)  # rank 3 of 12 columns, no spread within a class
    assert np.isfinite(FEATURE_SCORES[name](x, y))
