"""How epochs are judged: scores without target labels, and the watch for a collapse."""

import numpy as np
import pytest

from adapters.align.deep.run.collapse import classes_predicted, least_classes
from adapters.align.deep.run.report import class_shift
from adapters.align.deep.run.scores import Seen, dev, diversity, entropy, importance_weighted
from adapters.align.selection import controlled_risk


def test_the_spread_of_predictions_counts_classes():
    assert classes_predicted(np.zeros(9, int), 4) == 1
    assert classes_predicted(np.arange(8) % 4, 4) == pytest.approx(4)
    assert least_classes(12) == 3 and least_classes(12, partial=True) == 1.05


def test_label_free_scores_prefer_what_is_sure_and_diverse():
    rng = np.random.default_rng(0)
    none = np.zeros((0, 2))

    def seen(probabilities: np.ndarray) -> Seen:
        return Seen(rng.normal(size=(30, 2)), probabilities, none, none[:, 0], none)

    even, sure, one = np.full((30, 3), 1 / 3), np.eye(3)[np.arange(30) % 3], np.eye(3)[np.zeros(30, int)]
    assert diversity(seen(sure)) == pytest.approx(np.log(3), abs=1e-6)
    assert diversity(seen(even)) == pytest.approx(0, abs=1e-6)
    assert diversity(seen(one)) == pytest.approx(0, abs=1e-6)
    assert entropy(seen(one)) == pytest.approx(entropy(seen(sure))) and entropy(seen(even)) < entropy(seen(sure))


def test_source_images_that_look_like_the_target_count_more():
    rng = np.random.default_rng(0)
    train, target = rng.normal(size=(200, 2)), rng.normal(size=(200, 2)) + [2, 0]
    val, probabilities = rng.normal(size=(100, 2)), np.full((200, 2), 0.5)
    near = val[:, 0] > np.median(val[:, 0])
    right_near, right_far = (Seen(target, probabilities, val, side.astype(float), train) for side in (near, ~near))
    assert importance_weighted(right_near) > 0.8 > 0.2 > importance_weighted(right_far)
    assert dev(right_near) > dev(right_far)


def test_the_control_variate_is_zero_where_all_weights_are_one():
    right = np.array([1.0, 0.0, 1.0, 1.0])
    assert controlled_risk(np.ones(4), right) == pytest.approx(0.25)
    weights = np.array([0.5, 1.5, 1.0, 1.0])
    losses = weights * (1 - right)
    eta = -np.cov(losses, weights)[0, 1] / weights.var()
    assert controlled_risk(weights, right) == pytest.approx(losses.mean() + eta * (weights.mean() - 1))


def test_the_class_shift_is_a_share_of_each_class_that_occurs():
    source, target = np.array([0, 0, 1, 2]), np.array([0, 3])
    expected = [["a", 0.5, 0.5], ["b", 0.25, 0.0], ["c", 0.25, 0.0], ["unknown", 0.0, 0.5]]
    assert class_shift([source, target], [*"abc", "unknown"]) == expected
    assert [row[0] for row in class_shift([source], [*"abc", "unknown"])] == ["a", "b", "c"]
