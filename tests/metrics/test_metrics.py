"""Metrics against scikit-learn, against slow definitions, and at their edges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as peer

from studio.metrics import (
    classification_report,
    confusion,
    ece,
    fit_temperature,
    macro_f1,
    mean_ci95,
    paired_difference,
    per_class,
    reliability,
    wilson_ci95,
)

pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60)


@given(pairs)
def test_confusion_and_f1_agree_with_scikit_learn(drawn):
    labels, guesses = np.array(drawn).T
    assert np.array_equal(confusion(labels, guesses, 4), peer.confusion_matrix(labels, guesses, labels=range(4)))
    assert macro_f1(labels, guesses, 4) == pytest.approx(
        peer.f1_score(labels, guesses, average="macro", zero_division=0)
    )
    rows = per_class(labels, guesses, list("abcd"))
    expected = peer.precision_recall_fscore_support(labels, guesses, labels=range(4), zero_division=0)
    for row, *values in zip(rows, *expected, strict=True):
        assert row[1:] == pytest.approx([round(float(v), 4) for v in values], abs=1e-4)


def test_calibration_error_is_the_weighted_gap_by_definition():
    draw = np.random.default_rng(0)
    probabilities = draw.dirichlet(np.ones(3), 500)
    labels = draw.integers(0, 3, 500)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    slow = 0.0
    for low in np.arange(15) / 15:
        members = (confidence > low) & (confidence <= low + 1 / 15)
        if members.any():
            slow += members.mean() * abs(right[members].mean() - confidence[members].mean())
    assert ece(probabilities, labels) == pytest.approx(slow, abs=1e-9)
    assert reliability(probabilities, labels)[2].sum() == 500


def test_temperature_recovers_the_scale_that_was_put_in():
    draw = np.random.default_rng(0)
    logits = draw.normal(size=(20_000, 4)) * 2
    labels = (logits + draw.gumbel(size=logits.shape)).argmax(1)
    assert fit_temperature(logits * 3, labels) == pytest.approx(3.0, rel=0.05)


def test_intervals_cover_as_often_as_they_say():
    draw = np.random.default_rng(1)
    hits = 0
    for _ in range(2000):
        mean, half = mean_ci95(draw.normal(5, 2, 8))
        hits += abs(mean - 5) <= half
    assert 0.93 < hits / 2000 < 0.97
    assert np.isnan(mean_ci95(np.array([1.0]))[1])


@pytest.mark.parametrize(("hits", "total"), [(0, 10), (10, 10), (3, 10), (450, 1000)])
def test_the_interval_of_a_share_stays_in_range_and_holds_it(hits, total):
    low, high = wilson_ci95(hits, total)
    assert -1e-12 <= low <= hits / total + 1e-12 and hits / total - 1e-12 <= high <= 1 + 1e-12


def test_pairing_removes_what_episodes_share():
    draw = np.random.default_rng(2)
    hard = draw.normal(0, 1, 400)
    mean, half = paired_difference(hard + 0.1, hard)
    assert mean == pytest.approx(0.1) and half < 1e-9


def test_the_report_has_the_contracts_names():
    report = classification_report(np.eye(3)[[0, 1, 2, 2]], np.array([0, 1, 2, 1]))
    assert {"accuracy", "accuracy_ci95", "macro_f1", "ece"} <= report.keys() and report["accuracy"] == 0.75


def test_images_without_a_label_count_nowhere():
    draw = np.random.default_rng(3)
    probabilities, labels = draw.dirichlet(np.ones(4), 60), draw.integers(0, 4, 60)
    holes = np.concatenate([labels, np.full(20, -1)])
    padded = np.concatenate([probabilities, draw.dirichlet(np.ones(4), 20)])
    order = draw.permutation(80)
    assert classification_report(padded[order], holes[order]) == pytest.approx(
        classification_report(probabilities, labels)
    )
    assert fit_temperature(np.log(padded), holes) == pytest.approx(fit_temperature(np.log(probabilities), labels))


def test_without_any_label_nothing_is_claimed():
    report = classification_report(np.full((3, 2), 0.5), np.full(3, -1))
    assert np.isnan([report["accuracy"], report["macro_f1"], report["ece"]]).all()
    assert report["images"] == 0 and report["accuracy_ci95"] == 0.5
    assert fit_temperature(np.zeros((3, 2)), np.full(3, -1)) == 1.0


def test_temperature_stays_in_bounds_where_nothing_is_wrong():
    assert 0.04 < fit_temperature(np.eye(3) * 0.5, np.arange(3)) < 0.06


def test_wilson_agrees_with_scipy():
    from scipy.stats import binomtest

    for hits, total in ((0, 7), (3, 10), (144, 153), (10, 10)):
        expected = binomtest(hits, total).proportion_ci(0.95, "wilson")
        assert wilson_ci95(hits, total) == pytest.approx((expected.low, expected.high), abs=1e-9)
