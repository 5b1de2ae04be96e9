"""Pseudo-labels are DBSCAN's on the dense distances; agreement and silhouette are as their papers define them."""

import numpy as np
import pytest
import torch
from sklearn.cluster import DBSCAN
from sklearn.metrics import silhouette_score

from adapters.reid.clustering import (
    LEFT_OUT,
    Clusters,
    Neighbours,
    agreement,
    centroids,
    numbered,
    of_one_camera,
    silhouette,
)  # fmt: skip
from adapters.reid.jaccard import jaccard_distance
from studio.core.errors import UsageError


@pytest.fixture(scope="module")
def features():
    draw = np.random.default_rng(1)
    centres = draw.normal(size=(10, 24))
    loose = draw.normal(size=(20, 24))
    return torch.from_numpy(np.concatenate([centres[np.arange(120) % 10] + 0.3 * draw.normal(size=(120, 24)), loose]))


def test_clusters_are_those_of_dbscan_on_all_distances(features):
    whole = np.clip(jaccard_distance(features, 12, 4), 0, None)
    near = Neighbours.of(features, 0.65, 12, 4)
    for eps in (0.5, 0.6):
        expected = DBSCAN(eps=eps, min_samples=4, metric="precomputed").fit_predict(whole)
        assert np.array_equal(near.clusters(eps, 4).labels, expected)
    clusters = near.clusters(0.6, 4)
    assert clusters.count == 10 and 0.05 < clusters.left_out < 0.2


def test_a_radius_beyond_the_distances_is_refused(features):
    with pytest.raises(UsageError, match="between 0 and 1; found 1"):
        Neighbours.of(features, 1.0)


def test_agreement_is_both_over_either():
    labels, others = np.array([0, 0, 0, 1, 1, LEFT_OUT]), np.array([0, 0, 1, 1, LEFT_OUT, LEFT_OUT])
    sets = [[{j for j in range(6) if each[j] == each[i] and (each[i] >= 0 or i == j)} for i in range(6)]
            for each in (labels, others)]  # fmt: skip
    expected = [len(own & other) / len(own | other) for own, other in zip(*sets, strict=True)]
    assert np.allclose(agreement(labels, others), expected)


def test_clusters_are_numbered_without_gaps():
    clusters = numbered(np.array([5, 3, LEFT_OUT, 5]))
    assert clusters.labels.tolist() == [1, 0, LEFT_OUT, 1] and clusters.count == 2 and clusters.left_out == 0.25


def test_a_silhouette_counts_what_is_left_out_as_nothing(features):
    labels = np.append(np.arange(120) % 10, np.full(20, LEFT_OUT))
    expected = silhouette_score(features[:120].numpy(), labels[:120], metric="cosine") * 120 / 140
    assert silhouette(features.numpy(), Clusters(labels)) == pytest.approx(expected)
    assert silhouette(features.numpy(), Clusters(np.zeros(140, np.int64))) == 0


def test_a_cluster_of_one_camera_counts_with_all_its_images():
    clusters = Clusters(np.array([0, 0, 0, 1, 1, LEFT_OUT, LEFT_OUT]))
    assert of_one_camera(clusters, list("aaaabab")) == pytest.approx(3 / 5)
    assert of_one_camera(Clusters(np.full(7, LEFT_OUT)), list("aaaabab")) == 0


def test_a_centroid_is_the_mean_of_its_cluster(features):
    labels = torch.tensor([0, 1, 0, LEFT_OUT])
    expected = torch.stack([(features[0] + features[2]) / 2, features[1]])
    assert torch.allclose(centroids(features[:4], labels, 2), expected)
