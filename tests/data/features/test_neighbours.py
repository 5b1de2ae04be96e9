"""Nearest rows: exact against a sort of all distances in float64, and an index against exact."""

import numpy as np
import pytest

from studio.data.features import neighbours
from studio.data.features.neighbours import Approximate, Exact, nearest_in


@pytest.fixture(scope="module")
def crowd():
    """Rows float32 [3000, 16] around 30 places, and queries [20, 16] near them."""
    draw = np.random.default_rng(0)
    places = draw.normal(size=(30, 16)) * 3
    rows = places[draw.integers(30, size=3020)] + draw.normal(size=(3020, 16))
    return rows[:3000].astype(np.float32), rows[3000:].astype(np.float32)


def by_sorting(rows, queries, count):
    distances = np.square(rows[None].astype(np.float64) - queries[:, None]).sum(-1)
    order = np.argsort(distances, axis=1)[:, :count]
    return order, np.take_along_axis(distances, order, 1)


@pytest.mark.parametrize("cells", [1 << 23, 1000])
def test_exact_search_is_a_sort_of_all_distances_however_small_the_blocks(crowd, cells, monkeypatch):
    monkeypatch.setattr(neighbours, "CELLS", cells)
    rows, distances = Exact(crowd[0]).search(crowd[1], 7)
    right, expected = by_sorting(*crowd, 7)
    assert np.array_equal(rows, right) and np.allclose(distances, expected, rtol=1e-5)


def test_fewer_rows_than_asked_for_give_all_of_them_and_no_query_gives_none(crowd):
    rows, distances = Exact(crowd[0][:4]).search(crowd[1], 7)
    assert rows.shape == distances.shape == (20, 4) and sorted(rows[0].tolist()) == [0, 1, 2, 3]
    assert Exact(crowd[0]).search(crowd[1][:0], 7)[0].shape == (0, 7)


def test_few_rows_need_no_index(crowd):
    assert isinstance(nearest_in(crowd[0]), Exact)


def test_an_index_finds_nearly_all_and_its_distances_are_in_full(crowd, tmp_path, monkeypatch):
    pytest.importorskip("faiss")
    monkeypatch.setattr(neighbours, "MANY", 1000)
    monkeypatch.setattr(neighbours, "PROBED", 12)
    index = nearest_in(crowd[0], tmp_path)
    assert isinstance(index, Approximate)
    rows, distances = index.search(crowd[1], 10)
    right, expected = by_sorting(*crowd, 10)
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(rows, right, strict=True)]) > 0.9
    assert np.allclose(distances, np.square(crowd[0][rows] - crowd[1][:, None]).sum(-1), rtol=1e-5)
    all_rows, _ = index.search(crowd[1][:1], 3000)  # more than the lists that are looked into hold
    assert sorted(all_rows[0].tolist()) == list(range(3000))


def test_an_index_is_built_once_and_again_for_other_rows_or_after_damage(crowd, tmp_path, monkeypatch):
    pytest.importorskip("faiss")
    built = []
    build = neighbours._built
    monkeypatch.setattr(neighbours, "_built", lambda rows: built.append(len(rows)) or build(rows))
    first = Approximate(crowd[0], tmp_path).search(crowd[1], 5)
    again = Approximate(crowd[0], tmp_path).search(crowd[1], 5)
    assert built == [3000] and all(map(np.array_equal, first, again))
    Approximate(crowd[0][:2000], tmp_path)
    assert built == [3000, 2000]
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes()[:50])
    Approximate(crowd[0], tmp_path)
    assert built == [3000, 2000, 3000]
