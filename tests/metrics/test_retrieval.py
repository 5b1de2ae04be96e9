"""Ranks, CMC, mAP, mINP and the open set against slow loops in float64, and what happens where there is little."""

import numpy as np
import pytest

from studio.metrics.retrieval import Seen, by_identity, euclidean, joined, nearest, one_each, pooled, rank_queries


def slow(distances, query, gallery):
    """As the protocol's papers describe it, one query after another: first rank, AP, INP; None without a match."""
    rows = []
    for row in range(len(query)):
        pairs = []
        for column in range(len(gallery)):
            same = query.identities[row] == gallery.identities[column] and query.identities[row] >= 0
            if same and query.cameras[row] == gallery.cameras[column]:
                continue
            pairs.append((float(distances[row, column]), bool(same)))  # False sorts first: wrong ones before right ones
        pairs.sort()
        ranks = [rank for rank, (_, same) in enumerate(pairs, start=1) if same]
        if not ranks:
            rows.append(None)
            continue
        precision = sum(hit / rank for hit, rank in enumerate(ranks, start=1)) / len(ranks)
        rows.append((ranks[0], precision, len(ranks) / ranks[-1]))
    return rows


def made(draw, count, people=7, cameras=3):
    return Seen(draw.integers(-1, people, count), draw.integers(0, cameras, count))


def ranked(distances, query, gallery, cells=1 << 24):
    sorted_columns = distances[:, by_identity(gallery)]
    return rank_queries(lambda first, last: sorted_columns[first:last].copy(), query, gallery, cells)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("cells", [1, 90, 1 << 24], ids=["row by row", "some rows", "at once"])
def test_every_number_is_that_of_the_slow_loop(seed, cells):
    draw = np.random.default_rng(seed)
    query, gallery = made(draw, 23), made(draw, 41)
    distances = draw.integers(0, 12, (23, 41)).astype(np.float32)  # with many ties
    ranking, expected = ranked(distances, query, gallery, cells), slow(distances, query, gallery)
    assert ranking.counted.tolist() == [row is not None for row in expected]
    there = [row for row in expected if row is not None]
    assert ranking.first[ranking.counted].tolist() == [row[0] for row in there]
    np.testing.assert_allclose(ranking.precision[ranking.counted], [row[1] for row in there], rtol=1e-12)
    assert ranking.map == pytest.approx(np.mean([row[1] for row in there]), rel=1e-12)
    assert ranking.minp == pytest.approx(np.mean([row[2] for row in there]), rel=1e-12)
    cmc = [np.mean([row[0] <= k for row in there]) for k in range(1, 11)]
    np.testing.assert_allclose(ranking.cmc(10), cmc, rtol=1e-12)
    assert ranking.rank(5) == pytest.approx(cmc[4])


def test_numbers_do_not_depend_on_the_order_of_the_gallery():
    draw = np.random.default_rng(0)
    query, gallery = made(draw, 15), made(draw, 40)
    distances, order = draw.integers(0, 5, (15, 40)).astype(np.float32), draw.permutation(40)
    first, second = ranked(distances, query, gallery), ranked(distances[:, order], query, gallery.rows(order))
    assert first.map == second.map and first.minp == second.minp and (first.cmc(9) == second.cmc(9)).all()


def test_an_embedding_that_tells_nothing_apart_scores_worst():
    gallery = Seen(np.repeat([0, 1, 2], 4), np.arange(12))
    ranking = ranked(np.zeros((3, 12), np.float32), Seen(np.array([0, 1, 2]), np.array([20, 21, 22])), gallery)
    assert ranking.rank(8) == 0 and ranking.rank(9) == 1
    assert ranking.detection(0.5) == 0


def test_without_a_match_there_is_no_number_and_no_crash():
    query = Seen(np.array([0, 5, -1]), np.array([1, 1, 1]))
    gallery = Seen(np.array([0, 1, -1]), np.array([1, 2, 3]))  # 0 by its own camera alone, 5 not at all
    ranking = ranked(np.ones((3, 3), np.float32), query, gallery)
    assert not ranking.counted.any() and np.isnan([ranking.map, ranking.minp, ranking.rank(1)]).all()
    assert (ranking.cmc(3) == 0).all()
    empty = ranked(np.ones((3, 0), np.float32), query, gallery.rows(np.zeros(0, int)))
    assert not empty.counted.any() and np.isinf(empty.wrong).all()


def test_the_open_set_counts_who_is_found_and_which_strangers_are_let_in():
    query = Seen(np.arange(4), np.zeros(4, int))
    gallery = Seen(np.arange(4), np.ones(4, int))
    distances = np.full((4, 4), 9.0, np.float32)
    np.fill_diagonal(distances, [1, 2, 3, 4])
    distances[0, 1], distances[1, 0], distances[2, 3], distances[3, 2] = 2.5, 5, 6, 0.5  # the nearest stranger of each
    ranking = ranked(distances, query, gallery)
    # strangers at 0.5, 2.5, 5, 6; found at rank 1: 1, 2, 3 (the fourth has a stranger nearer)
    np.testing.assert_allclose(ranking.detection(np.array([0, 0.25, 0.5, 0.75, 1.0])), [0, 0.5, 0.75, 0.75, 0.75])


def test_distances_are_those_of_float64_and_come_in_blocks():
    draw = np.random.default_rng(1)
    query, gallery = (draw.standard_normal((size, 16)).astype(np.float32) for size in (9, 14))
    exact = ((query[:, None].astype(float) - gallery[None]) ** 2).sum(-1)
    blocks = euclidean(query, gallery)
    np.testing.assert_allclose(np.concatenate([blocks(0, 4), blocks(4, 9)]), exact, rtol=1e-4, atol=1e-4)


def test_the_nearest_leave_out_the_query_s_own_camera():
    gallery = Seen(np.array([0, 0, 1]), np.array([0, 1, 0]))
    indices, distances = nearest(
        lambda first, last: np.array([[0.0, 2.0, 1.0]]), Seen(np.array([0]), np.array([0])), gallery, 4, [0]
    )
    assert indices.tolist() == [[2, 1, -1, -1]] and distances[0, :2].tolist() == [1, 2]


def test_several_queries_ask_by_their_mean_and_one_image_each_answers():
    seen = Seen(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 0]))
    means, who = pooled(np.array([[0.0], [4], [5], [7]], np.float32), seen)
    assert means.tolist() == [[2], [5], [7]] and who.identities.tolist() == [0, 0, 1]
    rows = one_each(seen, np.random.default_rng(0))
    assert len(rows) == 3 and set(rows[1:]) == {2, 3}
    both = joined([ranked(np.ones((4, 4), np.float32), seen, seen)] * 2)
    assert len(both.first) == 8


def test_a_gallery_in_a_file_of_half_precision_is_looked_at_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("studio.metrics.retrieval.NUMBERS", 7 * 5)
    draw = np.random.default_rng(0)
    query, gallery = draw.standard_normal((4, 5)).astype(np.float32), draw.standard_normal((23, 5)).astype(np.float16)
    np.save(tmp_path / "gallery.npy", gallery)
    distances = euclidean(query, np.load(tmp_path / "gallery.npy", mmap_mode="r"))(1, 4)
    expected = np.square(query[1:, None].astype(np.float64) - gallery).sum(axis=2)
    np.testing.assert_allclose(distances, expected, rtol=1e-5, atol=1e-5)
