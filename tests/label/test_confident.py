"""Likely wrong labels, and the classifiers of a few labels that find them."""

import numpy as np
import pytest

from studio.label.classifiers import committee, logistic, neighbours, prototypes
from studio.label.confident import confident_joint, likely_wrong, out_of_fold, thresholds


def slow_joint(labels, probabilities):
    """Equations 1 and 2, one image at a time."""
    classes = len(probabilities[0])
    mean = [
        np.mean([p[j] for p, label in zip(probabilities, labels, strict=True) if label == j]) for j in range(classes)
    ]
    joint = [[0] * classes for _ in range(classes)]
    for p, label in zip(probabilities, labels, strict=True):
        above = [j for j in range(classes) if p[j] >= mean[j]]
        if above:
            joint[label][max(above, key=lambda j: p[j])] += 1
    return mean, joint


def test_the_confident_joint_is_that_of_the_equations():
    rng = np.random.default_rng(2)
    labels, probabilities = rng.integers(0, 4, 200), rng.dirichlet(np.ones(4), size=200)
    mean, joint = slow_joint(labels.tolist(), probabilities.tolist())
    np.testing.assert_allclose(thresholds(labels, probabilities), mean)
    assert confident_joint(labels, probabilities).tolist() == joint


def test_off_the_diagonal_come_first_those_that_speak_most_against_their_label():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.3, 0.7], [0.45, 0.55], [0.2, 0.8]])
    labels = np.array([0, 0, 0, 0, 1, 1])
    assert likely_wrong(labels, probabilities).tolist() == [2, 3]


@pytest.fixture(scope="module")
def heaps():
    rng = np.random.default_rng(3)
    truth = np.repeat([0, 1, 2], 20)
    features = (np.eye(8)[truth] + 0.15 * rng.normal(size=(60, 8))).astype(np.float32)
    return features / np.linalg.norm(features, axis=1, keepdims=True), truth


def test_labels_that_were_changed_are_found_by_classifiers_that_did_not_see_them(heaps):
    features, truth = heaps
    changed = truth.copy()
    changed[[4, 25, 50]] = [2, 0, 1]
    rows, answers = out_of_fold(features, changed, 3, prototypes)
    assert rows.tolist() == list(range(60))
    assert set(rows[likely_wrong(changed[rows], answers)][:3].tolist()) == {4, 25, 50}
    taught = np.full(60, -1)
    taught[1:] = truth[1:]
    alone = np.where(np.arange(60) == 7, 3, truth)  # the only image of its class
    assert 7 not in out_of_fold(features, alone, 4, prototypes)[0]
    assert len(out_of_fold(features[:5], truth[:5], 3, prototypes)[0]) == 0


def test_each_classifier_tells_the_heaps_apart_from_two_labels_each(heaps):
    features, truth = heaps
    labels = np.full(60, -1)
    labels[[0, 1, 20, 21, 40, 41]] = truth[[0, 1, 20, 21, 40, 41]]
    answers = committee(features, labels, 4)  # the fourth class has no image yet
    np.testing.assert_allclose(answers.sum(axis=2), 1)
    for member, name in zip(answers, ("prototypes", "logistic", "neighbours"), strict=True):
        assert (member.argmax(1) == truth).mean() > 0.8, name
    assert (answers[:2, :, 3] == 0).all()


def test_prototypes_are_the_softmax_of_distances_to_the_means(heaps):
    features, truth = heaps
    labels = np.where(np.arange(60) % 3 == 0, truth, -1)
    means = [features[labels == j].astype(float).mean(0) for j in range(3)]
    squares = np.array([[-((x - mean) ** 2).sum() for mean in means] for x in features.astype(float)])
    answers = prototypes(features, labels, 3)
    ratio = np.log(answers[:, 0] / answers[:, 1]) / (squares[:, 0] - squares[:, 1])
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)
    assert ratio[0] > 1
    one_each = prototypes(features, np.where(np.isin(np.arange(60), [0, 20, 40]), truth, -1), 3)
    assert np.isfinite(one_each).all()
    assert logistic(features, labels, 3).shape == neighbours(features, labels, 3).shape == (60, 3)
