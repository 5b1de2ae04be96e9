"""Label-free scores: what each must prefer, and that none can see a target label."""

import inspect

import numpy as np
import pytest

from adapters.align.none import NoAlignment
from adapters.align.ot import OptimalTransport
from adapters.align.sa import SubspaceAlignment
from adapters.align.selection import SCORES, best, settings
from studio.core.errors import UsageError


def domains(seed: int = 0):
    rng = np.random.default_rng(seed)
    centres = 3 * rng.normal(size=(3, 6))
    ys, yt = np.arange(120) % 3, np.arange(90) % 3
    return centres[ys] + rng.normal(size=(120, 6)), ys, centres[yt] + rng.normal(size=(90, 6)), yt


def builder(classifier="logistic"):
    def build(xs, ys, xt):
        return NoAlignment(NoAlignment.Params(normalize="none", classifier=classifier)).fit(xs, ys, xt)

    return build


class Guesser:
    """Stands for an estimator with given target probabilities."""

    def __init__(self, found):
        self.found = found

    def predict_proba(self, x):
        return self.found

    def predict(self, x):
        return self.found.argmax(axis=1)


def test_no_score_has_an_argument_for_target_labels():
    for score in SCORES.values():
        assert list(inspect.signature(score).parameters) == ["build", "xs", "ys", "xt", "seed"]


@pytest.mark.parametrize("name", sorted(SCORES))
def test_scores_are_finite_and_the_same_for_the_same_seed(name):
    xs, ys, xt, _ = domains()
    first = SCORES[name](builder(), xs, ys, xt, 0)
    assert np.isfinite(first)
    assert SCORES[name](builder(), xs, ys, xt, 0) == first


def test_entropy_prefers_the_sure_and_has_its_known_ends():
    xs, ys, xt, _ = domains()
    flat, sure = np.full((90, 3), 1 / 3), np.eye(3)[np.zeros(90, int)]
    assert SCORES["entropy"](lambda *_: Guesser(flat), xs, ys, xt, 0) == pytest.approx(-np.log(3))
    assert SCORES["entropy"](lambda *_: Guesser(sure), xs, ys, xt, 0) == pytest.approx(0.0)


def test_soft_neighbourhood_density_is_that_of_a_slow_loop_and_prefers_dense_groups():
    xs, ys, xt, _ = domains()
    rng = np.random.default_rng(0)
    found = rng.dirichlet(np.ones(3), size=20)
    unit = found / np.linalg.norm(found, axis=1, keepdims=True)
    slow = []
    for i in range(20):
        near = np.array([np.exp(unit[i] @ unit[j] / 0.05) for j in range(20) if j != i])
        share = near / near.sum()
        slow.append(-(share * np.log(share)).sum())
    assert SCORES["snd"](lambda *_: Guesser(found), xs, ys, xt[:20], 0) == pytest.approx(np.mean(slow))
    groups = np.eye(3)[np.arange(90) % 3]
    scattered = rng.dirichlet(0.3 * np.ones(3), size=90)
    snd = SCORES["snd"]
    assert snd(lambda *_: Guesser(groups), xs, ys, xt, 0) > snd(lambda *_: Guesser(scattered), xs, ys, xt, 0)


def test_weighted_accuracy_of_like_domains_is_about_the_accuracy():
    xs, ys, xt, yt = domains()
    accuracy = (builder()(xs, ys, xt).predict(xt) == yt).mean()
    assert SCORES["importance-weighted"](builder(), xs, ys, xt, 0) == pytest.approx(accuracy, abs=0.05)
    assert SCORES["dev"](builder(), xs, ys, xt, 0) == pytest.approx(accuracy - 1, abs=0.05)


@pytest.mark.parametrize("name", ["importance-weighted", "dev", "circular"])
def test_scores_fall_where_the_labels_are_noise(name):
    xs, ys, xt, _ = domains()
    noise = np.random.default_rng(1).permutation(ys)
    assert SCORES[name](builder(), xs, ys, xt, 0) > SCORES[name](builder(), xs, noise, xt, 0) + 0.2


def test_circular_validation_refuses_a_constant_answer():
    xs, ys, xt, _ = domains()
    assert SCORES["circular"](lambda *_: Guesser(np.eye(3)[np.zeros(90, int)]), xs, ys, xt, 0) == 0.0


@pytest.mark.parametrize("name", sorted(SCORES))
def test_every_score_takes_projecting_and_transporting_methods(name):
    xs, ys, xt, _ = domains()
    for method in (SubspaceAlignment, OptimalTransport):

        def build(xs, ys, xt, method=method):
            return method().fit(xs, ys, xt)

        assert np.isfinite(SCORES[name](build, xs, ys, xt, 0))


def test_settings_are_every_combination_and_the_first_of_equals_wins():
    params = SubspaceAlignment.Params()
    found = settings("dim: [2, 3], classifier: [1nn, svm]", params)
    assert [(one.dim, one.classifier) for one in found] == [(2, "1nn"), (2, "svm"), (3, "1nn"), (3, "svm")]
    told = []
    chosen, scores = best(found, lambda one: one.dim, lambda done, total: told.append((done, total)))
    assert (chosen.dim, chosen.classifier) == (3, "1nn")
    assert scores == [2, 2, 3, 3]
    assert told[-1] == (4, 4)


def test_a_score_that_is_not_a_number_never_wins():
    found = settings("dim: [2, 3]", SubspaceAlignment.Params())
    assert best(found, lambda one: np.nan if one.dim == 2 else -5.0, lambda *_: None)[0].dim == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [("dimm: [1]", "dimm.*dim"), ("dim: [0]", "does not fit"), ("hello", "no parameter 'hello'"), ("{[", "expected")],
)
def test_choices_that_make_no_sense_are_told(text, words):
    with pytest.raises(UsageError, match=words):
        settings(text, SubspaceAlignment.Params())
