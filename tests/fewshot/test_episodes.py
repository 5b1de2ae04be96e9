"""Episodes: the same seed gives the same ones, nothing leaks, classes may be unequal."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fewshot.episodes import EpisodeSampler, distinct
from studio.core.errors import DataError, UsageError


def names(count: int) -> list[str]:
    return [f"class{c}" for c in range(count)]


def sampler(counts: list[int], **options) -> EpisodeSampler:
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(len(counts)), counts))
    return EpisodeSampler(labels, names(len(counts)), **{"ways": 5, "shots": 3, "queries": 4, **options})


def all_of(source: EpisodeSampler, size: int) -> torch.Tensor:
    return torch.cat([index.index for _, index in source.chunks(lambda *_: size)])


@pytest.mark.parametrize("size", [1, 7, 50, 1000])
def test_the_same_seed_gives_the_same_episodes_whatever_the_chunk_size(size):
    counts = [9, 30, 12, 4, 25, 8, 2]
    assert torch.equal(all_of(sampler(counts, episodes=50), size), sampler(counts).draw(0, 50).index)


def test_an_episode_depends_on_its_number_alone():
    source = sampler([20] * 6)
    assert torch.equal(source.draw(37, 5).index, source.draw(0, 60).index[37:42])
    assert torch.equal(source.draw(37, 5).classes, source.draw(0, 60).classes[37:42])


def test_other_seeds_give_other_episodes():
    assert not torch.equal(sampler([20] * 6, seed=1).draw(0, 50).index, sampler([20] * 6, seed=2).draw(0, 50).index)


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(2, 30), min_size=2, max_size=9),
    shots=st.integers(1, 8),
    queries=st.integers(1, 8),
    seed=st.integers(0, 9),
)
def test_every_class_gives_what_it_has_and_nothing_twice(counts, shots, queries, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    source = EpisodeSampler(labels, names(len(counts)), ways=len(counts), shots=shots, queries=queries, seed=seed)
    drawn = source.draw(0, 5)
    for rows, classes in zip(drawn.index.numpy(), drawn.classes.numpy(), strict=True):
        assert sorted(classes) == list(range(len(counts)))
        for row, c in zip(rows, classes, strict=True):
            support, query = row[:shots], row[shots:]
            given_support, given_query = support[support >= 0], query[query >= 0]
            assert len(given_support) == min(shots, counts[c] - 1)
            assert len(given_query) == min(queries, counts[c] - len(given_support))
            both = np.concatenate([given_support, given_query])
            assert len(set(both)) == len(both)
            assert (labels[both] == c).all()
            assert (support[len(given_support) :] == -1).all() and (query[len(given_query) :] == -1).all()


def test_every_image_and_class_is_drawn_equally_often():
    drawn = sampler([10] * 8, ways=4, shots=2, queries=2).draw(0, 20_000)
    for column in range(4):  # support and query columns alike
        seen = torch.bincount(drawn.index[:, :, column].flatten(), minlength=80).double()
        assert ((seen - 1000).abs() < 5 * 1000**0.5).all()
    seen = torch.bincount(drawn.classes.flatten(), minlength=8).double()
    assert ((seen - 10_000).abs() < 5 * 10_000**0.5).all()


def test_distinct_draws_every_ordered_pair_equally_often():
    pairs = distinct(np.random.default_rng(0).random((60_000, 2)), np.full(60_000, 4))
    seen = np.bincount(pairs[:, 0] * 4 + pairs[:, 1], minlength=16).reshape(4, 4)
    assert (np.diag(seen) == 0).all()
    assert (np.abs(seen[~np.eye(4, dtype=bool)] - 5000) < 5 * 5000**0.5).all()


def test_support_and_query_can_come_from_two_datasets():
    support_labels, query_labels = np.array([0, 0, 1, 1, 2, 2]), np.array([2, 1, 0, 2, 1, 0, -1])
    source = EpisodeSampler(support_labels, names(3), ways=3, shots=2, queries=2, query_labels=query_labels)
    drawn = source.draw(0, 20)
    assert np.array_equal(support_labels[drawn.support], drawn.classes[:, :, None].expand(-1, -1, 2))
    assert np.array_equal(query_labels[drawn.query], drawn.classes[:, :, None].expand(-1, -1, 2))
    assert source.short == []


def test_images_without_a_label_take_no_part():
    labels = np.array([-1, 0, -1, 0, 1, 1, -1, 0])
    drawn = EpisodeSampler(labels, names(2), ways=2, shots=1, queries=2).draw(0, 50).index
    assert set(drawn[drawn >= 0].tolist()) == {1, 3, 4, 5, 7}


def test_gather_pads_and_masks():
    source = sampler([2, 9, 9, 9, 9])
    drawn = source.draw(0, 8)
    pool = torch.arange(38.0)[:, None] + torch.tensor([0.0, 0.5])
    episodes = drawn.gather(pool, pool)
    assert episodes.support.shape == (8, 15, 2) and episodes.query.shape == (8, 20, 2)
    kept = episodes.labels >= 0
    assert (kept.sum(1) == 13).all() and (episodes.query_mask.sum(1) == 17).all()
    assert torch.equal(episodes.support[kept][:, 0].long(), drawn.support.flatten(1)[kept])
    assert torch.equal(episodes.query[episodes.query_mask][:, 0].long(), drawn.query.flatten(1)[episodes.query_mask])
    assert source.short == ["class0"]


@pytest.mark.parametrize(
    ("counts", "options", "error", "words"),
    [
        ([5, 5], {"ways": 1}, UsageError, "at least 2 classes"),
        ([5, 5, 5], {"ways": 4}, DataError, "Set eval.ways to 3 or less"),
        ([5], {"ways": 2}, DataError, "Add images of other classes"),
        ([5, 1, 5], {"ways": 2, "shots": 5}, DataError, "class1: one image only"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_a_sentence(counts, options, error, words):
    with pytest.raises(error, match=words):
        sampler(counts, **options)


def test_ten_thousand_images_a_class_need_little_memory():
    labels = np.repeat(np.arange(3), 10_000)
    source = EpisodeSampler(labels, names(3), ways=3, shots=1, queries=1)
    assert torch.equal(source.draw(0, 700).index[600:], source.draw(600, 100).index)
