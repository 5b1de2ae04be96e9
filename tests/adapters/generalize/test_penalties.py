"""Each penalty against its formula, written out slowly in float64."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

sys.path.insert(0, str(Path(__file__).parent))
from small import CLASSES, LATER, START, batch_of, learner_of, losses  # noqa: E402

from adapters.generalize.coral import coral_distance  # noqa: E402
from adapters.generalize.ibn import instance_normalise  # noqa: E402
from adapters.generalize.irm import invariance_penalty  # noqa: E402
from adapters.generalize.mixstyle import mix_styles, partners  # noqa: E402
from adapters.generalize.mmd import WIDTHS, squared_mmd  # noqa: E402
from adapters.generalize.rsc import soft  # noqa: E402
from adapters.generalize.swad import Valley  # noqa: E402
from studio.core.streams import part  # noqa: E402


def risks(learner, batch) -> list[float]:
    return [cross_entropy(learner.predict(one.images), one.labels).item() for one in batch.sources]


def test_erm_is_the_mean_of_the_sources_risks_also_in_parts():
    learner, batch = learner_of("erm"), batch_of(rows=6)
    assert losses(learner, batch)["classify"].item() == pytest.approx(np.mean(risks(learner, batch)))
    parts = [part(batch, slice(first, min(first + 4, 6)), 4, [6, 6, 6]) for first in (0, 4)]
    total = sum(float(losses(learner, piece)["classify"]) * weight for piece, weight in parts)
    assert total == pytest.approx(np.mean(risks(learner, batch)))


def test_irm_penalty_is_the_product_of_slopes_found_by_finite_differences():
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(8, 3, generator=draw, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(3, (8,), generator=draw)

    def slope(values, rows, h=1e-6):
        up, down = (cross_entropy(values[rows] * (1 + e), labels[rows]) for e in (h, -h))
        return (up - down) / (2 * h)

    even, odd = slice(0, None, 2), slice(1, None, 2)
    penalty = invariance_penalty(logits, labels)
    assert float(penalty) == pytest.approx(float(slope(logits, even) * slope(logits, odd)), rel=1e-6)
    assert torch.autograd.gradcheck(lambda values: invariance_penalty(values, labels), logits)
    alone = invariance_penalty(logits[:1], labels[:1])
    assert float(alone) == pytest.approx(float(slope(logits, slice(0, 1)) ** 2), rel=1e-5)


def test_vrex_adds_the_variance_of_the_risks_and_keeps_the_scale_of_the_gradient():
    learner, batch = learner_of("vrex", weight=10.0, anneal=0.5), batch_of()
    expected = risks(learner, batch)
    early, late = losses(learner, batch, START), losses(learner, batch, LATER)
    assert float(early["variance"]) == pytest.approx(np.var(expected))
    assert float(early["classify"]) == pytest.approx(np.mean(expected))
    assert float(late["variance"]) == pytest.approx(np.var(expected))
    assert float(late["classify"]) == pytest.approx(np.mean(expected) / 10)


def test_groupdro_weighs_as_its_algorithm_does_over_several_steps():
    learner, batch, weights = learner_of("groupdro", step_size=0.7), batch_of(), np.full(3, 1 / 3)
    for _ in range(3):
        expected = np.array(risks(learner, batch))
        weights = weights * np.exp(0.7 * expected)
        weights /= weights.sum()
        assert float(losses(learner, batch)["classify"]) == pytest.approx(float((weights * expected).sum()))
    assert "aids.groups.weights" in learner.module.state_dict()  # so that a resumed run goes on from them
    assert all("aids" not in name for name in learner.state())


def test_coral_is_the_difference_of_means_and_covariances():
    draw = np.random.default_rng(0)
    first, second = draw.normal(size=(7, 4)), draw.normal(1.0, 2.0, size=(9, 4))
    expected = ((first.mean(0) - second.mean(0)) ** 2).mean() + ((np.cov(first.T) - np.cov(second.T)) ** 2).mean()
    assert float(coral_distance(*map(torch.from_numpy, (first, second)))) == pytest.approx(expected)
    assert float(coral_distance(torch.from_numpy(first), torch.from_numpy(first))) == 0.0


def test_mmd_is_the_sum_over_kernels_nothing_for_equal_samples_and_grows_with_the_shift():
    draw = np.random.default_rng(0)
    first, second = draw.normal(size=(6, 3)), draw.normal(1.0, size=(5, 3))

    def mean_kernel(a, b):
        return np.mean([[sum(math.exp(-g * ((x - y) ** 2).sum()) for g in WIDTHS) for y in b] for x in a])

    expected = mean_kernel(first, first) + mean_kernel(second, second) - 2 * mean_kernel(first, second)
    first, second = torch.from_numpy(first), torch.from_numpy(second)
    assert float(squared_mmd(first, second)) == pytest.approx(expected, rel=1e-9)
    assert float(squared_mmd(first, first)) == pytest.approx(0.0, abs=1e-12)
    distances = [float(squared_mmd(first, first + shift)) for shift in (0.1, 0.3, 1.0, 3.0)]
    assert distances == sorted(distances)


@pytest.mark.parametrize("name", ["coral", "mmd"])
def test_distances_are_means_over_every_pair_of_sources(name):
    learner, batch = learner_of(name, strength=2.0), batch_of(sources=3)
    a, b, c = (learner.features(one.images).double() for one in batch.sources)
    distance = {"coral": coral_distance, "mmd": squared_mmd}[name]
    expected = 2.0 * (distance(a, b) + distance(a, c) + distance(b, c)) / 3
    assert float(losses(learner, batch)[name]) == pytest.approx(float(expected), rel=1e-5)


def test_dann_pulls_the_features_away_from_what_tells_the_sources_apart():
    learner, batch = learner_of("dann", strength=3.0, hidden=8), batch_of()
    learner.module.float()
    for one in batch.sources:
        one._tensors["images"] = one.images.float()
    losses(learner, batch, START)["domain"].backward()
    weight = learner.module.backbone.layer.weight
    assert weight.grad.abs().max() == 0 and learner.module.aids["discriminator"][0].weight.grad.abs().max() > 0

    def gradient(at, name):
        return torch.autograd.grad(losses(learner, batch, at)[name], weight)[0]

    half, whole = gradient(LATER, "domain"), gradient(type(LATER)(5, 10), "domain")
    ratio = LATER.ramp(10.0) / type(LATER)(5, 10).ramp(10.0)
    assert torch.allclose(half, whole * ratio, rtol=1e-4, atol=1e-7)


def test_mldg_has_the_gradient_of_looking_ahead_as_finite_differences_have_it(monkeypatch):
    learner, batch = learner_of("mldg", inner_lr=0.5, weight=2.0), batch_of(rows=4)
    monkeypatch.setattr(torch, "randint", lambda *_, **__: torch.tensor(1))
    weights = dict(learner.module.named_parameters())
    train, held = [batch.sources[0], batch.sources[2]], batch.sources[1]

    def risk(values, sources):
        hidden = [
            (one.images @ values["backbone.layer.weight"].T + values["backbone.layer.bias"]).tanh() for one in sources
        ]
        logits = [h @ values["head.weight"].T + values["head.bias"] for h in hidden]
        return sum(cross_entropy(o, s.labels) for o, s in zip(logits, sources, strict=True)) / len(sources)

    def objective(values):
        first = risk(values, train)
        slopes = dict(zip(values, torch.autograd.grad(first, list(values.values())), strict=True))
        ahead = {name: (value - 0.5 * slopes[name]).detach() for name, value in values.items()}
        return float(first) + 2.0 * float(risk(ahead, [held]))

    found = losses(learner, batch)
    assert float(sum(found.values())) == pytest.approx(objective(weights), rel=1e-6)
    sum(found.values()).backward()
    for name, place in [("backbone.layer.weight", (1, 2)), ("head.weight", (0, 3)), ("backbone.layer.bias", (4,))]:
        shifted = []
        for h in (1e-5, -1e-5):
            values = {key: p.detach().clone().requires_grad_() for key, p in weights.items()}
            with torch.no_grad():
                values[name][place] += h
            shifted.append(objective(values))
        assert float(weights[name].grad[place]) == pytest.approx((shifted[0] - shifted[1]) / 2e-5, rel=1e-3, abs=1e-6)


def test_rsc_mutes_a_third_of_the_features_that_raise_the_true_class_most():
    learner = learner_of("rsc", features=0.4, images=0.99)
    features = torch.ones(4, 5, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 0])
    muted = learner.challenged(features, soft(labels, CLASSES))
    for row, label in enumerate(labels.tolist()):
        leading = learner.module.head.weight[label].topk(2).indices
        expected = torch.ones(5, dtype=torch.float64).index_fill(0, leading, 0.0)
        assert torch.equal(muted[row], expected) or torch.equal(muted[row], features[row])
    assert int((muted.min(dim=1).values == 0).sum()) == 3  # the image that loses least is spared


def test_mixup_lies_between_two_sources_and_their_labels(monkeypatch):
    monkeypatch.setattr("adapters.generalize.mixup.Beta", lambda *_: type("Fixed", (), {"sample": lambda self: 0.3})())
    monkeypatch.setattr(torch, "randperm", lambda count: torch.arange(count))
    learner, batch = learner_of("mixup"), batch_of()
    expected = []
    for a, b in ((0, 1), (1, 2), (2, 0)):
        first, second = batch.sources[a], batch.sources[b]
        logits = learner.predict(0.3 * first.images + 0.7 * second.images)
        expected.append(0.3 * cross_entropy(logits, first.labels) + 0.7 * cross_entropy(logits, second.labels))
    assert float(losses(learner, batch)["classify"]) == pytest.approx(float(sum(expected)) / 3, rel=1e-6)


def test_mixstyle_gives_the_statistics_between_an_image_and_its_partner():
    draw = torch.Generator().manual_seed(0)
    maps = 3 * torch.randn(4, 2, 6, 6, generator=draw, dtype=torch.float64) + 1
    partner, share = torch.tensor([2, 3, 1, 0]), torch.tensor([1.0, 0.0, 0.25, 0.5], dtype=torch.float64)
    mixed = mix_styles(maps, partner, share.view(-1, 1, 1, 1))
    assert torch.allclose(mixed[0], maps[0])
    for row in range(4):
        for statistic in (lambda m: m.mean((1, 2)), lambda m: m.std((1, 2))):
            expected = share[row] * statistic(maps[row]) + (1 - share[row]) * statistic(maps[partner[row]])
            assert torch.allclose(statistic(mixed[row]), expected, atol=1e-5)


@pytest.mark.parametrize("sizes", [[4, 4], [3, 5, 2], [1, 1, 1, 1]])
def test_a_partner_is_always_of_another_source(sizes):
    torch.manual_seed(0)
    source = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    for _ in range(20):
        assert bool((source[partners(sizes)] != source).all())


@pytest.mark.parametrize("training", [True, False])
def test_ibn_gives_half_the_channels_their_instance_norm_with_the_pretrained_scale(training):
    norm = torch.nn.BatchNorm2d(4).double()
    with torch.no_grad():
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            tensor.normal_(generator=torch.Generator().manual_seed(3))
        norm.running_var.fill_(2.5)
    maps = 2 * torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(4), dtype=torch.float64) - 1
    plain = norm.eval()(maps)
    norm.register_forward_pre_hook(instance_normalise)
    out = norm.train(training)(maps)
    instance = torch.nn.functional.instance_norm(maps[:, :2], weight=norm.weight[:2], bias=norm.bias[:2])
    assert torch.allclose(out[:, :2], instance, atol=1e-4)
    if not training:
        assert torch.allclose(out[:, 2:], plain[:, 2:])


def test_swad_is_the_plain_mean_of_the_steps_in_the_valley():
    steps = torch.arange(1.0, 25.0).view(12, 2)  # two steps an epoch, one weight
    losses_by_epoch = [9, 5, 3, 4, 3.5, 4, 8, 4, 9, 9, 9, 1]
    # patience 3: epoch 2 (3) is the first that the next two do not go below; the rim is 1.2 * mean(3, 4, 3.5) = 4.2
    # epoch 6 is above it but 7 is not, so both are inside; 8 to 10 are above three times running: it ends at 7
    valley = Valley(1, patience=3, overfit=3, tolerance=1.2)
    for epoch, loss in zip(steps, losses_by_epoch, strict=True):
        for weight in epoch:
            valley.add(weight[None])
        valley.judge(float(loss))
    assert float(valley.rim) == pytest.approx(4.2) and valley.ended
    assert float(valley.mean()) == pytest.approx(float(steps[2:8].mean()))


def test_swad_without_a_valley_takes_the_last_epochs_and_with_an_open_one_all_to_the_end():
    for losses_by_epoch, expected in (([5, 4, 3, 2, 1], [2, 3, 4]), ([5, 1, 2, 3, 9], [1, 2, 3, 4])):
        valley = Valley(1, patience=3, overfit=3, tolerance=1.3)
        for epoch, loss in enumerate(losses_by_epoch):
            valley.add(torch.tensor([float(epoch)]))
            valley.judge(float(loss))
        assert float(valley.mean()) == pytest.approx(np.mean(expected))


def test_a_weight_average_is_what_predicts_and_what_is_kept():
    learner = learner_of("ema", decay=0.9)
    images = batch_of().sources[0].images
    before = learner.predict(images)
    with torch.no_grad():
        learner.module.head.weight += 1.0
    assert torch.equal(learner.predict(images), before)
    assert [(teacher.decay, teacher.follows) for teacher in learner.teachers()] == [(0.9, learner.learning)]
    learner.finish()
    assert torch.equal(learner.module(images), before)
    assert set(learner.state()) == {name for name in learner.module.state_dict() if not name.startswith("aids.")}
