"""Rules that choose the next image, against their definitions written out slowly."""

import numpy as np
import pytest

from studio.core import registry
from studio.core.errors import UsageError
from studio.core.labelling import Pool

N, D, C = 40, 6, 3


@pytest.fixture(scope="module")
def pool() -> Pool:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(N, D)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    labels = np.full(N, -1)
    labels[[3, 11, 20, 33]] = [0, 1, 2, 1]
    waiting = labels < 0
    waiting[[5, 6]] = False  # skipped
    answers = rng.dirichlet(np.full(C, 0.7), size=(3, N))
    return Pool(features, labels, waiting, lambda: answers)


def pick(pool: Pool, name: str, count: int, seed: int = 0) -> list[int]:
    return registry.rule_named(name).pick(pool, count, np.random.default_rng(seed)).tolist()


@pytest.mark.parametrize("name", [rule.name for rule in registry.rules()])
def test_a_rule_asks_for_waiting_images_alone_each_once_and_all_where_more_are_wanted(pool, name):
    for count in (0, 1, 7, 100):
        chosen = pick(pool, name, count)
        assert len(chosen) == len(set(chosen)) == min(count, pool.waiting.sum())
        assert pool.waiting[chosen].all()
    assert pick(pool, name, 7) == pick(pool, name, 7)


def slowly(pool: Pool, doubt) -> list[int]:
    return sorted(np.flatnonzero(pool.waiting).tolist(), key=lambda row: -doubt(row))


def test_margin_entropy_and_disagreement_rank_by_their_definitions(pool):
    members = pool.committee()

    def margin(row):
        first, second = sorted(members[0, row])[:-3:-1]
        return second - first

    def entropy(row):
        return -sum(p * np.log(p) for p in members[0, row])

    def disagreement(row):
        mean = sum(members[:, row]) / 3
        return sum(p * np.log(p / q) for member in members[:, row] for p, q in zip(member, mean, strict=True)) / 3

    for name, doubt in (("margin", margin), ("entropy", entropy), ("disagreement", disagreement)):
        assert pick(pool, name, 100) == slowly(pool, doubt), name


def test_k_center_takes_the_farthest_from_all_that_are_labelled_one_by_one(pool):
    centres, expected = np.flatnonzero(pool.labels >= 0).tolist(), []
    for _ in range(6):
        farness = {
            row: min(np.linalg.norm(pool.features[row].astype(float) - pool.features[other]) for other in centres)
            for row in np.flatnonzero(pool.waiting)
            if row not in expected
        }
        expected.append(max(farness, key=farness.get))
        centres.append(expected[-1])
    assert pick(pool, "k-center", 6) == expected


def three_heaps() -> np.ndarray:
    """Ten images around each of three directions, the first of each in the middle of its heap."""
    rng = np.random.default_rng(1)
    heaps = [np.eye(D)[number] + np.vstack([np.zeros(D), 0.1 * rng.normal(size=(9, D))]) for number in range(3)]
    points = np.concatenate(heaps).astype(np.float32)
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def test_typiclust_takes_the_middle_of_each_heap_where_nothing_is_labelled():
    features = three_heaps()
    empty = Pool(features, np.full(30, -1), np.ones(30, bool), lambda: pytest.fail("it needs no classifier"))
    assert sorted(pick(empty, "typiclust", 3)) == [0, 10, 20]
    labelled = Pool(features, np.where(np.arange(30) == 4, 0, -1), np.arange(30) != 4, empty.committee)
    assert sorted(pick(labelled, "typiclust", 2)) == [10, 20], "the heap that has a label is left alone"
    assert pick(empty, "k-center", 3)[0] in range(30)


def test_badge_begins_with_the_longest_gradient_and_keeps_away_from_it(pool):
    answers = pool.probabilities()
    gradients = {}
    for row in np.flatnonzero(pool.waiting).tolist():
        pull = answers[row].copy()
        pull[pull.argmax()] -= 1
        gradients[row] = np.outer(pull, pool.features[row].astype(float)).ravel()
    first, second = pick(pool, "badge", 2)
    assert first == max(gradients, key=lambda row: np.linalg.norm(gradients[row]))
    same = Pool(np.repeat(pool.features[:1], 4, 0), np.full(4, -1), np.ones(4, bool), lambda: np.full((1, 4, C), 1 / C))
    assert sorted(pick(same, "badge", 4)) == [0, 1, 2, 3]
    assert second != first


def test_a_wrong_rule_is_named_with_the_nearest():
    with pytest.raises(UsageError, match="no rule 'margn'. Did you mean 'margin'"):
        registry.rule_named("margn")
