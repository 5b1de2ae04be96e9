"""The loss of each method against its formula, written slowly in float64."""

import itertools

import numpy as np
import ot
import pytest
import torch
from scipy.special import softmax
from torch import nn
from torch.nn.functional import cross_entropy, normalize, one_hot

from adapters.align.deep.adversarial.bsp import spectral_penalty
from adapters.align.deep.adversarial.cdan import OuterProduct, RandomProduct
from adapters.align.deep.adversarial.mdd import disagreement
from adapters.align.deep.adversarial.wdgrl import slope_penalty
from adapters.align.deep.distance.deep_jdot import label_costs, shared_by_class, transport_plan
from adapters.align.deep.distance.dsan import local_mmd
from adapters.align.deep.distance.jan import OF_PREDICTIONS, joint_kernel
from adapters.align.deep.distance.m3sda import moment_distance
from adapters.align.deep.kernels import gaussians
from adapters.align.deep.objective.afn import growth_wanted
from adapters.align.deep.objective.bnm import nuclear_norm
from adapters.align.deep.objective.mcc import class_confusion
from adapters.align.deep.open_set.osbp import boundary_loss
from adapters.align.deep.partial.etn import leaky_softmax
from adapters.align.deep.partial.iwan import likeness
from adapters.align.deep.partial.pada import class_shares
from adapters.align.deep.self_training.self_ensembling import balance_loss
from adapters.align.deep.source_free.nrc import agreement, neighbours
from adapters.align.deep.source_free.shot import pseudo_labels
from adapters.align.deep.structure.norms import channel_weights
from adapters.align.deep.test_time.base import mixed_norm
from studio.core import registry
from studio.core.faces import LearnerContext
from studio.core.streams import Batch, Step, StreamBatches


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


LOGITS = 2 * drawn(6, 4)
P = softmax(LOGITS.numpy(), axis=1)


def test_cdan_conditions_on_the_explicit_outer_product_and_at_random_keeps_its_inner_products():
    features, predictions = drawn(5, 3), torch.from_numpy(P[:5])
    product = OuterProduct()(features, predictions)
    for row in range(5):
        expected = np.outer(predictions[row], features[row]).reshape(-1)
        np.testing.assert_allclose(product[row], expected, atol=1e-12)
    torch.manual_seed(0)
    estimate = RandomProduct(3, 4, 200_000).double()(features, predictions)
    np.testing.assert_allclose(estimate @ estimate.T, product @ product.T, atol=0.1)


def test_mdd_is_minus_log_of_one_minus_the_probability():
    predicted = torch.tensor([0, 1, 2, 3, 0, 1])
    expected = -np.log(1 - P[np.arange(6), predicted])
    np.testing.assert_allclose(disagreement(LOGITS, predicted), expected)
    sure = torch.tensor([[50.0, 0.0, 0.0]])
    assert float(disagreement(sure, torch.tensor([0]))) == pytest.approx(50 - np.log(2))  # finite where 1 - p is not


def test_the_critics_slope_is_penalised_for_its_distance_from_one():
    critic = nn.Linear(3, 1).double()
    expected = (critic.weight.norm() - 1) ** 2
    assert float(slope_penalty(critic, drawn(4, 3), drawn(5, 3, seed=1))) == pytest.approx(float(expected.detach()))


def test_bsp_and_bnm_are_singular_values():
    values = np.linalg.svd(LOGITS.numpy(), compute_uv=False)
    assert float(spectral_penalty(LOGITS, 2)) == pytest.approx((values[:2] ** 2).sum(), rel=1e-5)
    nuclear = np.linalg.norm(P, "nuc") / 6
    assert float(nuclear_norm(torch.from_numpy(P))) == pytest.approx(nuclear, rel=1e-5)


def test_mcc_is_the_confusion_of_classes_counted_pair_by_pair():
    entropy = -(P * np.log(P)).sum(axis=1)
    weights = 1 + np.exp(-entropy)
    weights = weights * len(P) / weights.sum()
    pairs = np.zeros((4, 4))
    for j, k in itertools.product(range(4), repeat=2):
        pairs[j, k] = sum(weights[i] * P[i, j] * P[i, k] for i in range(6))
    pairs /= pairs.sum(axis=1, keepdims=True)
    expected = (pairs.sum() - np.trace(pairs)) / 4
    assert float(class_confusion(LOGITS)) == pytest.approx(expected)


def test_afn_asks_each_feature_to_grow_by_a_step():
    features = drawn(3, 4).requires_grad_()
    loss = growth_wanted(features, 0.5)
    torch.testing.assert_close(loss, torch.full((3,), 0.25, dtype=torch.float64))
    (slope,) = torch.autograd.grad(loss.sum(), features)
    torch.testing.assert_close(slope, -features / features.norm(dim=1, keepdim=True))  # 2 * (-0.5) along the feature


def test_jan_multiplies_the_kernels_of_features_and_predictions():
    features, predictions = drawn(6, 3), torch.from_numpy(P)
    gaps = ((P[:, None] - P[None]) ** 2).sum(axis=2)
    expected = gaussians(features).numpy() * np.exp(-gaps / OF_PREDICTIONS)
    np.testing.assert_allclose(joint_kernel(features, predictions), expected, atol=1e-12)


def test_dsan_is_the_mean_of_the_classes_own_mmd():
    kernel, labels = gaussians(drawn(10, 3)), np.array([0, 1, 0, 2, 1, 1])
    shares = softmax(drawn(4, 4, seed=3).numpy(), axis=1)
    total = 0.0
    for label in range(3):  # the source has no image of the fourth
        source = (labels == label) / (labels == label).sum()
        weights = np.concatenate([source, -shares[:, label] / shares[:, label].sum()])
        total += weights @ kernel.numpy() @ weights
    found = local_mmd(kernel, torch.eye(4, dtype=torch.float64)[labels], torch.from_numpy(shares))
    assert float(found) == pytest.approx(total / 4)


def test_m3sda_compares_the_moments_of_every_two_domains():
    one, two, target = (drawn(5 + seed, 3, seed=seed).numpy() for seed in range(3))
    expected = 0.0
    for power in (1, 2):
        means = [(x**power).mean(axis=0) for x in (one, two, target)]
        expected += np.linalg.norm(means[0] - means[1])
        expected += (np.linalg.norm(means[0] - means[2]) + np.linalg.norm(means[1] - means[2])) / 2
    found = moment_distance([torch.from_numpy(x) for x in (one, two)], torch.from_numpy(target), 2)
    assert float(found) == pytest.approx(expected)


def test_deep_jdots_plan_costs_what_pots_does():
    costs = label_costs(torch.tensor([0, 3, 1]), LOGITS) + drawn(3, 6, seed=2).square()
    expected = -np.log(P[:, [0, 3, 1]]).T + drawn(3, 6, seed=2).square().numpy()
    np.testing.assert_allclose(costs, expected)
    plan = transport_plan(costs)
    np.testing.assert_allclose(plan.sum(dim=1), 1 / 3)
    best = ot.emd2(np.full(3, 1 / 3), np.full(6, 1 / 6), expected)
    assert float((plan * costs).sum()) == pytest.approx(best)
    part = transport_plan(costs, mass=0.6)
    assert float(part.sum()) == pytest.approx(0.6) and float((part * costs).sum()) < 0.6 * best


def test_what_batches_share_by_class_is_what_random_ones_do():
    draw = np.random.default_rng(0)
    shared = [np.minimum(*draw.multinomial(32, np.full(10, 0.1), 2)).sum() / 32 for _ in range(2000)]
    assert shared_by_class(10, 32) == pytest.approx(np.mean(shared), abs=0.005)
    assert shared_by_class(1, 8) == pytest.approx(1)


def test_osbp_is_binary_cross_entropy_of_the_unknown_class():
    unknown = P[:, -1]
    expected = -0.3 * np.log(unknown) - 0.7 * np.log(1 - unknown)
    np.testing.assert_allclose(boundary_loss(LOGITS, 0.3), expected)


def test_partial_weights_fall_where_the_target_has_no_such_class():
    shares = class_shares(torch.from_numpy(P))
    np.testing.assert_allclose(shares, P.mean(axis=0) / P.mean(axis=0).max())
    weights = likeness(torch.tensor([8.0, 0.0, -8.0], dtype=torch.float64))
    assert weights[0] < weights[1] < weights[2] and float(weights.mean()) == pytest.approx(1)
    leaky = np.where(LOGITS > 0, LOGITS, 0.01 * LOGITS)
    expected = np.exp(leaky) / (4 + np.exp(leaky).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(leaky_softmax(LOGITS), expected)
    assert (leaky_softmax(LOGITS).sum(dim=1) < 1).all()


def test_shots_labels_are_those_of_the_nearest_centre_and_mend_single_mistakes():
    centres = torch.tensor([[5.0, 0, 0], [0, 5, 0], [0, 0, 5]], dtype=torch.float64)
    truth = torch.arange(30) % 3
    features = centres[truth] + 0.1 * drawn(30, 3)
    guesses = one_hot(truth, 4).double()
    guesses[0] = torch.tensor([0.0, 0.9, 0.1, 0.0])  # wrong, and the fourth class is never said
    assert pseudo_labels(features, guesses).tolist() == truth.tolist()


def test_nrc_counts_neighbours_both_ways_whole():
    bank = normalize(torch.tensor([[1, 0.0], [1, 0.1], [1, 0.25], [0, 1]], dtype=torch.float64), dim=1)
    near, counts = neighbours(bank, torch.tensor([0, 2]), 1, 0.1)
    assert near.tolist() == [[1], [1]] and counts.tolist() == [
        [1.0],
        [pytest.approx(0.1)],
    ]  # 1 is nearest to 2, but 0 to 1
    products = agreement(torch.from_numpy(P[:2]), torch.from_numpy(P[2:6].reshape(2, 2, 4)))
    np.testing.assert_allclose(products, [[P[0] @ P[2], P[0] @ P[3]], [P[1] @ P[4], P[1] @ P[5]]])


def test_the_class_balance_loss_is_least_where_all_classes_are_said():
    even = torch.full((5, 4), 0.25, dtype=torch.float64)
    assert float(balance_loss(even)) == pytest.approx(0) and float(balance_loss(torch.from_numpy(P))) > 0


def test_transnorm_weighs_channels_by_nearness_with_mean_one():
    means, var = (torch.tensor([0.0, 0.0]), torch.tensor([0.0, 3.0])), torch.ones(2)
    weights = channel_weights(means[0], var, means[1], var, 0.0)
    np.testing.assert_allclose(weights, np.array([1, 1 / 4]) * 2 / (1 + 1 / 4), rtol=1e-6)


@pytest.mark.parametrize("prior", [0.0, 8.0, 1e6])
def test_batch_statistics_are_mixed_with_the_sources_as_so_many_images(prior):
    norm = nn.BatchNorm2d(3).double().eval()
    norm.running_mean.copy_(drawn(3, seed=4))
    norm.running_var.copy_(drawn(3, seed=5).square() + 0.5)
    x = drawn(8, 3, 2, 2) + 1
    share = prior / (prior + 8)
    mean = share * norm.running_mean + (1 - share) * x.mean((0, 2, 3))
    var = share * norm.running_var + (1 - share) * x.var((0, 2, 3), unbiased=False)
    expected = (x - mean.view(1, 3, 1, 1)) / (var.view(1, 3, 1, 1) + norm.eps).sqrt()
    torch.testing.assert_close(mixed_norm(norm, x, prior), expected)
    if prior > 1e5:
        torch.testing.assert_close(mixed_norm(norm, x, prior), norm(x), rtol=1e-3, atol=1e-3)
    if not prior:
        torch.testing.assert_close(mixed_norm(norm, x, prior), norm.train()(x))


IMAGES = torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


def set_up(method: str, **params):
    """A learner of three classes with a small network that stands in eval mode."""
    cls = registry.get(method)
    learner = cls(cls.Params(bottleneck=8, **params))
    learner.setup(LearnerContext(registry.backbone("studio/conv4?image_size=16&width=8"), list("abc")))
    learner.module.eval()
    return learner


def test_fixmatch_teaches_the_changed_image_the_guess_of_which_it_is_sure():
    learner = set_up("align/fixmatch", ramp=0)
    target = Batch(images=IMAGES + 1, strong=IMAGES.flip(3))
    with torch.no_grad():
        guessed, changed = (
            softmax(learner.module(images).double().numpy(), axis=1) for images in (target.images, target.strong)
        )
    surest = guessed.max(axis=1)
    learner.params.sure = float(np.sort(surest)[2:4].mean())  # the three that are surest
    sure, rows = surest >= learner.params.sure, np.arange(6)
    losses, logged = learner.losses(
        StreamBatches(source=Batch(images=IMAGES, labels=LABELS), target=target), Step(0, 1)
    )
    expected = -(sure * np.log(changed[rows, guessed.argmax(axis=1)])).mean()
    assert float(losses["guesses"].detach()) == pytest.approx(expected, rel=1e-4) and float(logged["sure"]) == 0.5


def test_mcds_heads_differ_by_the_mean_absolute_difference_of_their_predictions():
    learner = set_up("align/mcd")
    with torch.no_grad():
        features = learner.module.embed(IMAGES)
        one, two = (softmax(head(features).double().numpy(), axis=1) for head in learner.module.head.children())
    batch = StreamBatches(source=Batch(images=IMAGES, labels=LABELS), target=Batch(images=IMAGES))
    apart, together = (phase(batch, Step(0, 1))["discrepancy"] for phase in (learner.disagree, learner.agree))
    assert float(together.detach()) == pytest.approx(np.abs(one - two).mean(), rel=1e-4)
    assert float(apart.detach()) == -float(together.detach())


def test_eata_is_taught_by_images_that_are_sure_and_say_something_new():
    cls = registry.get("align/eata")
    learner = cls(cls.Params(surest=0.4, similar=0.05))
    sure_of = 9 * torch.eye(4, dtype=torch.float64)
    logits = torch.stack([sure_of[0], sure_of[1], torch.ones(4, dtype=torch.float64)])
    chosen, weights = learner.informative(logits)
    p = softmax(9 * np.eye(4)[0])
    assert chosen.tolist() == [True, True, False]
    np.testing.assert_allclose(weights, np.exp(0.4 * np.log(4) + (p * np.log(p)).sum()), rtol=1e-6)
    assert learner.informative(sure_of)[0].tolist() == [False, False, True, True]  # as the classes before, and not
    np.testing.assert_allclose(learner._mean, [0.45, 0.45, 0.05, 0.05], atol=1e-3)


def test_pada_weighs_no_class_before_it_has_learned_the_source():
    learner = set_up("align/pada", pretrain=0.5, ramp=0)
    learner.module.train()
    learner.module.aids["shares"].of_class.copy_(torch.tensor([1.0, 0.5, 0.0]))
    batch = StreamBatches(source=Batch(images=IMAGES, labels=LABELS), target=Batch(images=IMAGES + 1))
    with torch.no_grad():
        logits = learner.look(batch)[0].logits
    early, late = (learner.losses(batch, Step(step, 10))[0] for step in (4, 5))
    assert set(early) == {"classify"} and set(late) == {"classify", "domain"}
    assert float(early["classify"].detach()) == pytest.approx(float(cross_entropy(logits, LABELS)), rel=1e-5)
    known = cross_entropy(logits, LABELS, weight=torch.tensor([1.0, 0.5, 0.0]))
    assert float(late["classify"].detach()) == pytest.approx(float(known), rel=1e-5)


def test_addas_discriminator_tells_the_domains_and_the_copy_is_to_be_taken_for_the_source():
    learner, there = set_up("align/adda"), IMAGES + 1
    batch = StreamBatches(source=Batch(images=IMAGES, labels=LABELS), target=Batch(images=there))
    with torch.no_grad():
        features = learner.of_source(IMAGES), learner.module.embed(there)
        source, target = (learner.module.aids["discriminator"](side).double().sigmoid().numpy() for side in features)
    at = Step(9, 10)
    told = learner.discriminate(batch, at)[0]["domain"]
    assert float(told.detach()) == pytest.approx(-(np.log(source).mean() + np.log(1 - target).mean()) / 2, rel=1e-5)
    deceiving = learner.deceive(batch, at)["taken_for_source"]
    assert float(deceiving.detach()) == pytest.approx(-np.log(target).mean(), rel=1e-5)
    assert learner.discriminate(batch, Step(0, 10)) == learner.deceive(batch, Step(0, 10)) == {}
