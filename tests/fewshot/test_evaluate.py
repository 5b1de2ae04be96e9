"""Scoring: every episode counts once, whatever the chunks and wherever inner products come from."""

import json

import numpy as np
import pytest
import torch

from fewshot.episode_files import read_episodes
from fewshot.episodes import EpisodeSampler
from fewshot.evaluate import Pools, evaluate
from fewshot.heads.matching import Matching
from fewshot.heads.prototypes import Prototypes
from fewshot.heads.ridge import Ridge
from fewshot.heads.simpleshot import SimpleShot
from fewshot.heads.tim import TIM
from studio.core.errors import DataError, StoppedByUser
from studio.metrics import mean_ci95

CLASSES = [f"class{c}" for c in range(6)]
COUNTS = [9, 2, 12, 6, 20, 9]


def pool(seed: int = 0, counts: list[int] = COUNTS, width: int = 16) -> tuple[torch.Tensor, np.ndarray]:
    generator = torch.Generator().manual_seed(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    centers = torch.randn(len(counts), width, generator=torch.Generator().manual_seed(99))
    features = centers[labels] + 1.5 * torch.randn(len(labels), width, generator=generator)
    return features, labels


def source(labels: np.ndarray, **options) -> EpisodeSampler:
    return EpisodeSampler(labels, CLASSES, **{"ways": 4, "shots": 3, "queries": 5, "episodes": 60, **options})


@pytest.mark.parametrize("cls", [Prototypes, SimpleShot, Matching, Ridge])
def test_looked_up_inner_products_give_the_same_scores(cls):
    features, labels = pool()
    by_gram = evaluate(cls(), source(labels), Pools(features), use_gram=True)
    plain = evaluate(cls(), source(labels), Pools(features), use_gram=False)
    assert (by_gram.by, plain.by) == ("gram", "features")
    np.testing.assert_allclose(by_gram.accuracy, plain.accuracy, atol=1e-6)
    assert by_gram.ece == pytest.approx(plain.ece, abs=1e-5)


def test_looking_up_works_across_two_datasets():
    (features, labels), (others, other_labels) = pool(0), pool(1, [4, 5, 6, 7, 8, 9])
    drawn = source(labels, query_labels=other_labels)
    by_gram = evaluate(Prototypes(), drawn, Pools(features, others), use_gram=True)
    plain = evaluate(Prototypes(), drawn, Pools(features, others), use_gram=False)
    np.testing.assert_allclose(by_gram.accuracy, plain.accuracy, atol=1e-6)
    assert 0.5 < plain.interval[0] < 1


@pytest.mark.parametrize("head", [Prototypes(), TIM(TIM.Params(steps=5))])
def test_the_memory_budget_changes_nothing_but_the_chunks(head):
    features, labels = pool()
    calls: list[tuple[int, int]] = []
    small = evaluate(head, source(labels), Pools(features), memory_mb=0.1, use_gram=False,
                     progress=lambda *at: calls.append(at))  # fmt: skip
    large = evaluate(head, source(labels), Pools(features), use_gram=False)
    np.testing.assert_allclose(small.accuracy, large.accuracy, atol=1e-6)
    assert len(calls) > 3 and calls[-1] == (60, 60)


def test_sums_agree_with_a_count_by_hand():
    features, labels = pool()
    drawn = source(labels)
    result = evaluate(Prototypes(), drawn, Pools(features))
    confusion, accuracy = np.zeros((6, 6), dtype=int), []
    confidences = []
    for t in range(60):
        index = drawn.draw(t, 1)
        means = torch.stack([features[row[row >= 0]].mean(0) for row in index.support[0]])
        right = []
        for way, row in enumerate(index.query[0]):
            for image in row[row >= 0]:
                scores = -(features[image] - means).square().sum(-1)
                guess = int(scores.argmax())
                confusion[index.classes[0, way], index.classes[0, guess]] += 1
                right.append(guess == way)
                confidences.append((float(scores.softmax(0).max()), guess == way))
        accuracy.append(np.mean(right))
    np.testing.assert_allclose(result.accuracy, accuracy, atol=1e-6)
    assert np.array_equal(result.confusion, confusion)
    assert np.array_equal(result.asked, confusion.sum(1)) and np.array_equal(result.guessed, confusion.sum(0))
    assert result.interval == mean_ci95(result.accuracy)
    precision, recall = np.diag(confusion) / confusion.sum(0), np.diag(confusion) / confusion.sum(1)
    assert result.macro_f1 == pytest.approx((2 * precision * recall / (precision + recall)).mean())
    confidence, right = np.array(confidences).T
    place = np.minimum((confidence * 15).astype(int), 14)
    ece = sum(abs(confidence[place == b].sum() - right[place == b].sum()) for b in range(15)) / len(right)
    assert result.ece == pytest.approx(ece, abs=1e-6)


def test_episodes_of_a_file_come_back_in_its_order(tmp_path):
    points = {"a0": [0, 0], "a1": [0, 1], "b0": [9, 0], "b1": [9, 1], "c0": [0, 90], "wrong": [0, 91]}
    for name in points:
        (tmp_path / name).write_bytes(b"x")
    two = {"support": {"a": ["a0"], "b": ["b0"]}, "query": {"a": ["a1"], "b": ["b1"]}}
    three = {"support": {"b": ["b0"], "a": ["a0"], "c": ["c0"]}, "query": {"a": ["a1", "wrong"]}}
    (tmp_path / "e.json").write_text(json.dumps([two, three, two]))
    fixed = read_episodes(tmp_path / "e.json")
    features = torch.tensor([points[path.name] for path in fixed.paths], dtype=torch.float32)
    result = evaluate(Prototypes(), fixed, Pools(features))
    assert result.accuracy.tolist() == [1.0, 0.5, 1.0]
    assert result.confusion.tolist() == [[3, 0, 1], [0, 2, 0], [0, 0, 0]]


def test_features_that_are_no_numbers_are_refused():
    features, _ = pool()
    features[5, 2] = float("nan")
    with pytest.raises(DataError, match="1 of 58 images .* number 5"):
        Pools(features)


def test_features_too_large_for_the_head_are_refused():
    features, labels = pool()
    with pytest.raises(DataError, match="unit length"):
        evaluate(Prototypes(), source(labels), Pools(1e25 * features))


def test_a_stop_between_chunks_is_honoured():
    features, labels = pool()
    with pytest.raises(StoppedByUser):
        evaluate(Prototypes(), source(labels), Pools(features), should_stop=lambda: True)


def test_many_classes_keep_no_confusion_matrix():
    features, labels = pool(counts=[2] * 300)
    drawn = EpisodeSampler(labels, [str(c) for c in range(300)], ways=300, shots=1, queries=1, episodes=2)
    result = evaluate(Prototypes(), drawn, Pools(features))
    assert result.confusion is None and result.asked.sum() == 600


def test_the_gram_matrix_is_made_only_where_it_pays():
    features, _ = pool()
    assert Pools(features).gram_pays(600 * 100)
    assert not Pools(features).gram_pays(10)
    assert not Pools(torch.zeros(9000, 1)).gram_pays(10**9)  # 324 MB
    wide = Pools(torch.zeros(50, 400))
    assert wide.looked_up(Prototypes(), 600, 100, 50) and not wide.looked_up(Prototypes(), 600, 101, 50)
    assert wide.looked_up(Ridge(), 600, 101, 50) and not wide.looked_up(TIM(), 600, 100, 50)
