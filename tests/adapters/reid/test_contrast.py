"""Losses of memories and of mutual teaching are what plain float64 mathematics says, image by image."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from adapters.reid.memory import contrast, moved
from adapters.reid.mutual import hardest, soft_cross_entropy, softmax_triplet


@pytest.fixture
def features():
    return normalize(torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), dim=1)


@pytest.fixture
def prototypes():
    return normalize(torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)), dim=1)


LABELS = torch.tensor([0, 2, 2, 0, 2, 1])


def test_contrast_is_the_share_of_the_own_prototype(features, prototypes):
    losses = contrast(features, prototypes, LABELS, 0.1)
    for feature, label, loss in zip(features, LABELS, losses, strict=True):
        shares = [math.exp(float(feature @ prototype) / 0.1) for prototype in prototypes]
        assert float(loss) == pytest.approx(-math.log(shares[label] / sum(shares)), abs=1e-5)


def test_prototypes_move_with_each_image_in_turn(features, prototypes):
    expected = prototypes.clone()
    for feature, label in zip(features, LABELS, strict=True):
        mixed = 0.3 * expected[label] + 0.7 * feature
        expected[label] = mixed / mixed.norm()
    assert torch.allclose(moved(prototypes, features, LABELS, 0.3), expected)


def test_soft_cross_entropy_is_the_hard_one_where_the_teacher_is_sure(features):
    sure = 1e3 * torch.eye(5, dtype=torch.float64)[torch.tensor([0, 1, 2, 3, 4, 0])]
    expected = -features.log_softmax(dim=1)[range(6), [0, 1, 2, 3, 4, 0]]
    assert torch.allclose(soft_cross_entropy(features, sure), expected)


def test_triplets_are_the_farthest_own_and_the_nearest_other(features):
    positive, negative = hardest(features, LABELS)
    for row in range(6):
        own = [other for other in range(6) if LABELS[other] == LABELS[row]]
        others = [other for other in range(6) if LABELS[other] != LABELS[row]]
        assert positive[row] == max(own, key=lambda other: float((features[row] - features[other]).norm()))
        assert negative[row] == min(others, key=lambda other: float((features[row] - features[other]).norm()))
    alone = hardest(features, torch.zeros(6, dtype=torch.int64))[1]
    assert alone.tolist() == list(range(6)), "with nobody else the image stands for its own negative"


def test_soft_triplets_follow_the_teacher(features):
    teacher = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    positive, negative = hardest(features, LABELS)
    hard, soft = softmax_triplet(features, LABELS), softmax_triplet(features, LABELS, teacher)
    for row in range(6):
        own, taught = (_farther(each, row, positive, negative) for each in (features, teacher))
        assert float(hard[row]) == pytest.approx(-math.log(own), abs=1e-5)
        assert float(soft[row]) == pytest.approx(-taught * math.log(own) - (1 - taught) * math.log(1 - own), abs=1e-5)


def _farther(features, row, positive, negative):
    near, far = (math.exp(float((features[row] - features[rows[row]]).norm())) for rows in (positive, negative))
    return far / (near + far)
