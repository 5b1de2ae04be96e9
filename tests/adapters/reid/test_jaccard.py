"""The k-reciprocal Jaccard distance is the dense definition's, whatever the blocks."""

import numpy as np
import pytest
import torch

from adapters.reid import jaccard as module
from adapters.reid.camera_jaccard import neighbourhoods_by_camera
from adapters.reid.jaccard import find_nearest, jaccard, jaccard_distance, jaccard_within, neighbourhoods
from tests.adapters.reid.slow_jaccard import dense_camera_jaccard, dense_jaccard


@pytest.fixture(scope="module")
def features():
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(12, 16))
    return torch.from_numpy(centres[np.arange(150) % 12] + 0.6 * draw.normal(size=(150, 16)))


@pytest.mark.parametrize("k1, k2", [(20, 6), (7, 1), (30, 3)])
def test_distances_are_those_of_the_dense_definition(features, k1, k2):
    expected = dense_jaccard(features.numpy(), k1, k2)
    assert np.abs(jaccard_distance(features, k1, k2) - expected).max() < 1e-10
    assert np.abs(jaccard_distance(features.float(), k1, k2) - expected).max() < 1e-5
    assert (expected < 0.7).sum() > 2 * len(features), "the sample has neighbours that are worth comparing"


def test_relative_distances_are_those_of_re_ranking(features):
    rows = neighbourhoods(features, 20, 6, relative=True)
    expected = dense_jaccard(features.numpy(), 20, 6, relative=True)
    assert np.abs(jaccard(rows[:40], rows) - expected[:40]).max() < 1e-10


def test_small_blocks_change_nothing(features, monkeypatch):
    whole = jaccard_distance(features, 20, 6)
    monkeypatch.setattr(module, "CACHED", 50)
    monkeypatch.setattr(module, "CELLS", 700)
    assert np.array_equal(jaccard_distance(features, 20, 6), whole)


def test_only_near_ones_are_stored(features):
    rows = neighbourhoods(features, 20, 6)
    whole, near = jaccard(rows, rows), jaccard_within(rows, 0.6)
    line, column = near.nonzero()
    assert np.allclose(np.asarray(near[line, column]).ravel(), whole[line, column])
    assert near.nnz == (whole <= 0.6).sum() < whole.size / 4


def test_an_image_is_its_own_nearest_beside_copies_of_it():
    copies = torch.nn.functional.normalize(torch.ones(5, 3).double(), dim=1)
    assert find_nearest(copies, 3).indices[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert np.isfinite(jaccard_distance(copies, 3, 2)).all()


def test_fewer_images_than_neighbours_are_all_neighbours(features):
    few = features[:4]
    assert np.allclose(jaccard_distance(few, 30, 6), 0), "everybody has the same neighbours"


@pytest.mark.parametrize("k1, k2", [(12, 6), (30, 3)])
def test_neighbours_of_each_camera_are_those_of_the_dense_definition(features, k1, k2):
    cameras = np.random.default_rng(3).choice(3, len(features), p=[0.6, 0.36, 0.04])
    moved = features + 3 * torch.eye(3, 16)[cameras]
    expected = dense_camera_jaccard(moved.numpy(), cameras, k1, k2)
    rows = neighbourhoods_by_camera(moved, cameras, k1, k2)
    assert np.abs(jaccard(rows, rows) - expected).max() < 1e-6
    across = cameras[:, None] != cameras[None]
    assert (expected[across] < 0.7).sum() > (dense_jaccard(moved.numpy(), k1, k2)[across] < 0.7).sum()
