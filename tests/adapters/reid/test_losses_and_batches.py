"""Losses against slow loops in float64; batches hold a few images of each of a few individuals."""

import math

import numpy as np
import pytest
import torch

from adapters.reid.baseline import BaselineParams
from adapters.reid.data.batches import IdentityBatches, planned
from adapters.reid.losses import arc_margin, batch_hard, circle
from adapters.reid.pcb import PcbParams
from adapters.reid.pooling import GeneralizedMean
from adapters.reid.task import ReidTrain
from studio.core import registry
from studio.core.faces import LearnerContext
from studio.core.streams import Batch, Step
from studio.data.preprocess import Preprocess


@pytest.fixture
def batch():
    draw = torch.Generator().manual_seed(0)
    return torch.randn(8, 5, generator=draw, dtype=torch.float64), torch.tensor([0, 0, 0, 1, 1, 2, 2, 3])


@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_triplets_are_the_farthest_right_and_the_nearest_wrong_one(batch, margin):
    features, labels = batch
    terms = []
    for a in range(8):
        right = [float((features[a] - features[b]).norm()) for b in range(8) if b != a and labels[a] == labels[b]]
        wrong = [float((features[a] - features[b]).norm()) for b in range(8) if labels[a] != labels[b]]
        if right:
            gap = max(right) - min(wrong)
            terms.append(max(0.0, gap + margin) if margin else math.log1p(math.exp(gap)))
    assert float(batch_hard(features, labels, margin)) == pytest.approx(np.mean(terms), rel=1e-5)
    assert float(batch_hard(features, torch.zeros(8), margin)) == 0  # nobody else in the batch
    assert float(batch_hard(features, torch.arange(8), margin)) == 0  # everyone once


def test_circle_is_the_sum_over_all_pairs_of_each_anchor(batch):
    embeddings, labels = batch
    unit, m, g = embeddings / embeddings.norm(dim=1, keepdim=True), 0.25, 16.0
    terms = []
    for a in range(8):
        s = [float(unit[a] @ unit[b]) for b in range(8)]
        right = [s[b] for b in range(8) if b != a and labels[a] == labels[b]]
        wrong = [s[b] for b in range(8) if labels[a] != labels[b]]
        if right:
            pull = sum(math.exp(-g * max(0, 1 + m - x) * (x - (1 - m))) for x in right)
            push = sum(math.exp(g * max(0, x + m) * (x - m)) for x in wrong)
            terms.append(math.log1p(pull * push))
    assert float(circle(embeddings, labels, m, g)) == pytest.approx(np.mean(terms), rel=1e-9)


def test_arcface_widens_the_own_angle_and_stays_monotonic():
    cosines, labels = torch.tensor([[0.3, -0.2, 0.9]], dtype=torch.float64), torch.tensor([0])
    logits = [30 * math.cos(math.acos(0.3) + 0.5), 30 * -0.2, 30 * 0.9]
    expected = -logits[0] + math.log(sum(math.exp(x) for x in logits))
    assert float(arc_margin(cosines, labels, 0.5, 30.0)) == pytest.approx(expected, rel=1e-9)
    steps = torch.linspace(-1, 1, 400, dtype=torch.float64)
    losses = [float(arc_margin(torch.stack([s, s.new_zeros(())])[None], labels, 0.5, 30.0)) for s in steps]
    assert (np.diff(losses) <= 1e-9).all()


def test_the_generalized_mean_lies_between_mean_and_maximum():
    maps = torch.rand(2, 3, 4, 5) + 0.1
    means, largest = maps.mean((2, 3)), maps.amax((2, 3))
    assert torch.allclose(GeneralizedMean(1.0)(maps), means, atol=1e-5)
    between = GeneralizedMean(3.0)(maps)
    assert (means < between).all() and (between < largest).all()
    assert torch.allclose(GeneralizedMean(200.0)(maps), largest, rtol=0.03)


def test_a_batch_has_different_individuals_and_an_epoch_all_their_images():
    labels = np.repeat([0, 1, 2, 3, 4, -1], [4, 8, 4, 3, 40, 5])
    rows = planned(labels, individuals=2, each=4, steps=40, draw=np.random.default_rng(0))
    grouped = labels[rows].reshape(40, 2, 4)
    assert (grouped == grouped[..., :1]).all() and (grouped[:, 0, 0] != grouped[:, 1, 0]).all()
    assert (labels[rows] >= 0).all() and set(rows.reshape(-1)) == set(np.flatnonzero(labels >= 0))


def test_a_batch_depends_on_seed_and_step_alone():
    draw = np.random.default_rng(0)
    pixels, labels = draw.integers(0, 255, (24, 3, 16, 8), dtype=np.uint8), np.repeat(np.arange(4), 6)
    settings = ReidTrain(batch_size=8, augment="jitter")
    made = [IdentityBatches(pixels, labels, Preprocess(16, aspect=2.0), settings, np.zeros(24, int)) for _ in range(2)]
    first, again, other = made[0].batch(3), made[1].batch(3), made[0].batch(4)
    assert first.images.shape == (8, 3, 16, 8) and made[0].steps_per_epoch == 3
    assert torch.equal(first.images, again.images) and torch.equal(first.labels, again.labels)
    assert not torch.equal(first.images, other.images) and first.cameras.tolist() == [0] * 8


def test_refined_parts_are_means_by_shares_and_only_these_learn_at_first():
    learner = registry.get("reid/pcb")(PcbParams(parts=2, width=8, refine=0.5))
    backbone = registry.backbone("timm/test_resnet?random", image_size=64)
    learner.setup(LearnerContext(backbone, ["a", "b"], image_size=64))
    network, draw = learner.module, torch.Generator().manual_seed(0)
    maps = torch.randn(3, network.assign.in_channels, 2, 4, generator=draw)
    shares = network.assign(maps).softmax(dim=1)
    for part in range(2):
        mean = (maps * shares[:, part : part + 1]).sum((2, 3)) / shares[:, part].sum((1, 2))[:, None]
        assert torch.allclose(network.pooled(maps)[:, :, part], mean, atol=1e-5)
    batch = Batch(images=torch.randn(4, 3, 64, 64, generator=draw), labels=torch.tensor([0, 0, 1, 1]))
    learned = []
    for step in (0, 4, 6):  # of 8: stripes, induction, everything
        network.zero_grad()
        sum(learner.losses(batch, Step(step, 8)).values()).backward()
        moved = {name.split(".")[0] for name, each in network.named_parameters() if each.grad is not None}
        learned.append((bool(network.refined), "assign" in moved, "backbone" in moved))
    assert learned == [(False, False, True), (True, True, False), (True, True, True)]


@pytest.mark.parametrize(("of", "alike"), [("directions", True), ("features", False)])
def test_triplets_of_directions_do_not_see_how_long_features_are(of, alike):
    learner = registry.get("reid/baseline")(BaselineParams(triplets_of=of))
    learner.identity_loss = lambda embeddings, labels, smoothing: embeddings.sum()
    draw = torch.Generator().manual_seed(0)
    features, labels = torch.randn(6, 4, generator=draw), torch.tensor([0, 0, 1, 1, 2, 2])
    once, longer = (learner.objective(scale * features, features, labels)["triplet"] for scale in (1, 9))
    assert torch.allclose(once, longer, atol=1e-5) == alike
