"""The accuracy to expect on images not yet seen: its interval covers, whatever it was estimated from."""

import numpy as np
import pytest
import torch

from fewshot.expected import expected_of_support, left_out, photos_out
from fewshot.heads.prototypes import Prototypes
from fewshot.predictor import support_scores
from fewshot.support import SupportSet
from studio import run
from studio.metrics.expected import INDEPENDENT, SHARED, class_shares, expected_accuracy, expected_from_held_out
from studio.store import Store


def support_of(features: np.ndarray, labels: np.ndarray) -> SupportSet:
    classes = [f"class {label}" for label in range(labels.max() + 1)]
    none = [None] * len(labels)
    return SupportSet(features.astype(np.float32), labels, classes, [str(i) for i in range(len(labels))], none)


def drawn(rng: np.random.Generator, classes: int, count: int, spread: float, equal: bool) -> tuple[np.ndarray, ...]:
    """Given and unseen samples of Gaussian classes: features, labels, features, labels."""
    means = np.random.default_rng(7).normal(size=(classes, 24))
    labels = np.arange(count) % classes if equal else rng.integers(0, classes, count)
    labels = np.unique(labels, return_inverse=True)[1]
    asked = np.arange(420) % (labels.max() + 1)
    return tuple(part for y in (labels, asked) for part in (means[y] + spread * rng.normal(size=(len(y), 24)), y))


@pytest.mark.parametrize(
    ("head", "equal", "classes", "spread"),
    [
        (Prototypes(), True, 7, 1.0),
        (Prototypes(), True, 7, 2.5),
        (Prototypes(), False, 7, 2.5),
        (Prototypes(), True, 3, 1.5),
        (Prototypes(), False, 3, 1.5),
    ],
)
def test_the_interval_of_thirty_photos_covers_nine_draws_in_ten(head, equal, classes, spread):
    covered = []
    for number in range(50):
        x, y, asked, truth = drawn(np.random.default_rng(number), classes, 30, spread, equal)
        expected = expected_of_support(head, support_of(x, y))
        features, labels, query = (torch.from_numpy(part) for part in (x.astype("f4"), y, asked.astype("f4")))
        with torch.no_grad():
            guesses = support_scores(head, features, labels, query, y.max() + 1).argmax(1).numpy()
        measured = (guesses == truth).mean()
        covered.append(expected["expected_accuracy_low"] <= measured <= expected["expected_accuracy_high"])
    assert np.mean(covered) >= 0.9


@pytest.mark.parametrize("trust", [SHARED, INDEPENDENT])
def test_the_interval_of_held_out_images_covers(trust):
    rng = np.random.default_rng(0)
    for share in (0.3, 0.8, 0.97):
        labels = np.arange(40) % 4
        guesses = [np.where(rng.random(40) < share, labels, (labels + 1) % 4) for _ in range(300)]
        found = [expected_from_held_out(labels, guess, 4, trust) for guess in guesses]
        assert np.mean([f["expected_accuracy_low"] <= share <= f["expected_accuracy_high"] for f in found]) >= 0.93


def test_no_mistake_in_few_images_is_no_certainty():
    found = expected_accuracy(np.array([3, 3]), np.array([1.0, 1.0]))
    assert found["expected_accuracy"] < 1.0 and found["expected_accuracy_low"] < 0.7
    assert found["expected_accuracy_high"] == 1.0


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("images", [1, 5, 400, 20_000])
def test_bounds_enclose_the_value_within_nought_and_one_and_narrow_with_more_images(rate, images):
    found = expected_accuracy(np.array([images] * 3), np.array([rate] * 3))
    low, value, high = (found[f"expected_accuracy{end}"] for end in ("_low", "", "_high"))
    assert 0.0 <= low <= value <= high <= 1.0 and low < high
    more = expected_accuracy(np.array([images * 100] * 3), np.array([rate] * 3))
    assert more["expected_accuracy_high"] - more["expected_accuracy_low"] <= high - low


def test_a_class_of_one_photo_may_turn_out_either_way():
    known = expected_accuracy(np.array([9, 9, 9]), np.array([1.0, 1.0, 1.0]))
    alone = expected_accuracy(np.array([9, 9, 1]), np.array([1.0, 1.0, np.nan]))
    assert alone["expected_accuracy_low"] < known["expected_accuracy_low"] - 0.1
    assert alone["expected_accuracy_high"] == 1.0


def test_counts_are_taken_at_their_word_only_where_chance_does_not_explain_them():
    assert np.allclose(class_shares(np.array([4, 5, 3, 6])), 0.25)
    assert np.allclose(class_shares(np.array([900, 100])), [0.9, 0.1], atol=0.01)


def test_photos_are_left_out_equally_often_and_none_twice_at_once():
    labels = np.repeat([0, 1, 2, 3], [1, 2, 5, 40])
    sizes = photos_out(np.bincount(labels), 1)
    assert sizes.tolist() == [0, 1, 1, 2]
    rows = left_out(labels, sizes, 40)
    assert all(len(set(row)) == len(row) for row in rows)
    often = np.bincount(rows.ravel(), minlength=48)
    assert often[0] == 0 and set(often[1:3]) == {20} and set(often[3:8]) == {8} and set(often[8:]) == {2}


def test_photos_that_the_network_was_trained_on_do_not_count():
    x, y, _, _ = drawn(np.random.default_rng(0), 6, 60, 2.5, True)
    x[y < 3] = 50 * np.eye(24)[y[y < 3]]  # never confused: as a network has its own training photos
    support = support_of(x, y)
    whole, honest = (expected_of_support(Prototypes(), support, learned) for learned in ((), support.classes[:3]))
    assert honest["expected_accuracy"] < whole["expected_accuracy"] - 0.1
    assert expected_of_support(Prototypes(), support, support.classes) == {}


QUICK = {"data.train": "builtin:digits?per_class=6", "model.image_size": 32, "device": "cpu"}


@pytest.mark.parametrize(
    "more",
    [
        {"eval.episodes": 5, "eval.ways": 3},
        {"method": "finetune/linear-probe"},
        {"method": "finetune/full", "train.epochs": 1, "model.backbone": "timm/test_resnet?random", "train.folds": 2},
        {"method": "finetune/full", "train.epochs": 1, "model.backbone": "timm/test_resnet?random"},
    ],
    ids=["prototypes", "linear-probe", "folds", "validation"],
)
def test_every_classifier_that_is_left_behind_says_what_to_expect(more, home):
    result = run("quickstart", {**QUICK, **more}, home=home)
    low, value, high = (result.metrics[f"expected_accuracy{end}"] for end in ("_low", "", "_high"))
    assert 0 <= low < value < high <= 1
    kept = Store(home).checkpoint(result.checkpoint).manifest.metrics
    assert kept["expected_accuracy"] == value
