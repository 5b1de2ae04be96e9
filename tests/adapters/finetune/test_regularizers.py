"""Regularizers against slow float64, in training with every method, and with the network they started from."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
from families import FAMILIES, batch_of, learner_of, predict, train  # noqa: E402

from adapters.finetune.regularizers import KNOWN, Forward  # noqa: E402
from adapters.finetune.regularizers.bi_tuning import KEYS, Memory, contrast  # noqa: E402
from adapters.finetune.regularizers.co_tuning import mean_by_class  # noqa: E402
from adapters.finetune.regularizers.delta import distance  # noqa: E402
from adapters.finetune.regularizers.stoch_norm import make_stochastic  # noqa: E402
from studio.core import registry  # noqa: E402
from studio.core.errors import UsageError  # noqa: E402
from studio.core.faces import LearnerContext  # noqa: E402
from studio.device.norms import batch_norms  # noqa: E402

PLAIN = ("l2-sp", "bss", "delta", "bi-tuning")


def forward_of(learner, count=4):
    batch = batch_of(learner, count)
    features = learner.module.embed(batch.images)
    return Forward(batch.images, batch.labels, features, learner.module.classify(features))


@pytest.mark.parametrize("family", ["timm-vit", "timm-convnextv2", "timm-swinv2", "hf-swin", "hf-dinov2"])
@pytest.mark.parametrize("name", PLAIN)
def test_a_regularizer_trains_and_leaves_nothing_in_the_checkpoint(family, name):
    learner = learner_of("finetune/full", FAMILIES[family], regularizer=name)
    losses = train(learner, steps=2)
    assert all(np.isfinite(list(row.values())).all() and name in row for row in losses)
    plain = learner_of("finetune/full", FAMILIES[family])
    assert learner.state().keys() == plain.state().keys()
    plain.load_state(learner.state())
    assert torch.equal(predict(plain), predict(learner))


@pytest.mark.parametrize("method", ["finetune/lora", "finetune/bitfit", "finetune/vpt", "finetune/lp-ft"])
@pytest.mark.parametrize("name", PLAIN)
def test_regularizers_combine_with_the_other_methods(method, name):
    learner = learner_of(method, FAMILIES["timm-vit"], regularizer=name)
    if (method, name) == ("finetune/vpt", "delta"):
        with pytest.raises(UsageError, match="adds tokens"):
            train(learner, steps=1)
        return
    assert all(np.isfinite(list(row.values())).all() for row in train(learner, steps=2))


def with_source_head(name, method="finetune/full"):
    cls = registry.get(method)
    learner = cls(cls.Params(regularizer=name))
    backbone = registry.backbone(FAMILIES["timm-vit"])
    torch.manual_seed(0)
    backbone.keep_source_head(nn.Linear(backbone.dim, 7))
    learner.setup(LearnerContext(backbone, ["a", "b", "c"], 0))
    return learner


@pytest.mark.parametrize("name", ["co-tuning", "lwf"])
def test_the_old_classifier_learns_along_and_is_asked_for_where_it_is_missing(name):
    learner = with_source_head(name)
    head = learner.module.aids["source"].weight.detach().clone()
    if learner.needs_features:
        draw = np.random.default_rng(0)
        learner.start_from(draw.normal(size=(9, learner.module.backbone.dim)).astype(np.float32), np.arange(9) % 3)
    assert all(np.isfinite(list(row.values())).all() for row in train(learner))
    assert not torch.equal(head, learner.module.aids["source"].weight)
    assert not any(key.startswith("aids.") for key in learner.state())
    with pytest.raises(UsageError, match="came without"):
        learner_of("finetune/full", FAMILIES["timm-vit"], regularizer=name)


def test_l2_sp_is_half_the_squared_way_from_the_start_in_float64():
    learner = learner_of("finetune/full", FAMILIES["timm-vit"], regularizer="l2-sp", strength=0.3)
    start = {n: p.detach().double().clone() for n, p in learner.module.backbone.named_parameters()}
    train(learner, steps=2, lr=0.1)
    found = float(learner.regularizer.penalty(forward_of(learner)).detach()) * 0.3
    drift = sum(((p.double() - start[n]) ** 2).sum() for n, p in learner.module.backbone.named_parameters())
    head = sum((p.double() ** 2).sum() for p in learner.module.head.parameters())
    assert float(drift) > 0 and found == pytest.approx(float(0.5 * 0.3 * drift + 0.5 * 0.01 * head), rel=1e-4)


def test_bss_is_the_smallest_eigenvalue_of_the_gram_matrix_in_float64():
    learner = learner_of("finetune/full", FAMILIES["timm-vit"], regularizer="bss")
    features = torch.randn(6, 9, generator=torch.Generator().manual_seed(0))
    found = float(learner.regularizer.penalty(Forward(None, None, features, None)))
    gram = features.double() @ features.double().T
    assert found == pytest.approx(float(torch.linalg.eigvalsh(gram)[0]), rel=1e-4)


def test_delta_sums_channel_by_channel_as_a_slow_loop_does():
    draw = torch.Generator().manual_seed(1)
    new, old = (torch.randn(3, 5, 4, generator=draw) for _ in range(2))
    weights = torch.rand(5, generator=draw).softmax(0)
    slow = 0.0
    for image in range(3):
        for channel in range(5):
            gap = (new[image, channel].double() - old[image, channel].double()).norm() ** 2
            slow += 0.5 * float(weights[channel]) * float(gap) * 5 / 4 / 3
    assert float(distance(new, old, weights)) == pytest.approx(slow, rel=1e-5)


def test_delta_is_zero_at_the_start_and_grows_when_weights_move():
    learner = learner_of("finetune/full", FAMILIES["timm-vit"], regularizer="delta")
    assert float(learner.regularizer.penalty(forward_of(learner)).detach()) == 0.0
    train(learner, steps=1, lr=0.1)
    assert float(learner.regularizer.penalty(forward_of(learner)).detach()) > 0.0


def test_deltas_growth_of_the_loss_is_near_that_of_really_dropping_a_channel():
    learner = learner_of("finetune/full", FAMILIES["timm-convnextv2"], regularizer="delta")
    nn.init.normal_(learner.module.head.weight, std=0.05, generator=torch.Generator().manual_seed(0))
    learner.train_mode(False)
    forward = forward_of(learner)
    _, growth = learner.regularizer._before(forward)
    layer = learner.module.backbone.layers()[-1]
    whole = float(nn.functional.cross_entropy(forward.logits, forward.labels).detach())
    real = []
    for channel in range(len(growth[-1])):
        hook = layer.register_forward_hook(lambda *a, channel=channel: _without(a[-1], channel))
        with torch.no_grad():
            real.append(float(nn.functional.cross_entropy(learner.predict(forward.images), forward.labels)) - whole)
        hook.remove()
    assert np.corrcoef(real, growth[-1].numpy())[0, 1] > 0.8


def _without(output, channel):
    output = output.clone()
    output[:, channel] = 0
    return output


def test_co_tunings_relation_is_the_mean_of_each_class():
    probabilities = torch.rand(6, 4, generator=torch.Generator().manual_seed(2)).softmax(1)
    labels = torch.tensor([0, 0, 2, 2, 2, 0])
    table = mean_by_class(probabilities, labels, 4)
    assert torch.allclose(table[0], probabilities[[0, 1, 5]].mean(0))
    assert torch.allclose(table[1], torch.full((4,), 0.25)) and torch.allclose(table.sum(1), torch.ones(4))


def test_stoch_norm_takes_each_channel_whole_from_one_of_two_branches():
    norm = nn.BatchNorm2d(64)
    norm.running_mean.normal_(generator=torch.Generator().manual_seed(0))
    images = torch.randn(8, 64, 3, 3, generator=torch.Generator().manual_seed(1))
    running = norm.eval()(images)
    by_batch = nn.BatchNorm2d(64).train()(images)
    make_stochastic(norm.train(), 0.5)
    torch.manual_seed(0)
    found = norm(images)
    from_running = (found == running).all(dim=(0, 2, 3))
    from_batch = torch.isclose(found, by_batch, atol=1e-6).all(dim=3).all(dim=2).all(dim=0)
    assert torch.equal(from_running, ~from_batch) and 16 < int(from_running.sum()) < 48
    assert int(norm.num_batches_tracked) == 1
    norm.eval()
    assert norm(images).isfinite().all() and not norm.training


def test_stoch_norm_moves_statistics_and_is_refused_where_it_cannot():
    resnet = "timm/resnet18?random&img_size=32"
    learner = learner_of("finetune/full", resnet, regularizer="stoch-norm")
    before = learner.module.backbone.module.bn1.running_mean.clone()
    train(learner, steps=1)
    assert not torch.equal(before, learner.module.backbone.module.bn1.running_mean)
    with pytest.raises(UsageError, match="batch normalisation"):
        learner_of("finetune/full", FAMILIES["timm-vit"], regularizer="stoch-norm")
    with pytest.raises(UsageError, match="finetune/full"):
        learner_of("finetune/bitfit", resnet, regularizer="stoch-norm")


def test_bi_tunings_contrast_is_the_slow_double_loop():
    draw = torch.Generator().manual_seed(3)
    queries, keys = (nn.functional.normalize(torch.randn(n, 6, generator=draw), dim=1) for n in (3, 7))
    labels, owners = torch.tensor([0, 1, 0]), torch.tensor([0, 1, 0, 1, 1, 0, 2])
    slow = 0.0
    for query, label in zip(queries.double(), labels, strict=True):
        similar = [float(query @ key) / 0.07 for key in keys.double()]
        total = np.log(sum(np.exp(value) for value in similar))
        mine = [value - total for value, owner in zip(similar, owners, strict=True) if owner == label]
        slow -= sum(mine) / len(mine) / 3
    assert float(contrast(queries, keys, labels, owners)) == pytest.approx(slow, rel=1e-4)


def test_bi_tunings_slow_network_follows_the_statistics_of_the_fast_one():
    resnet = "timm/resnet18?random&layers=1,1,1,1&channels=8,8,16,16"
    learner = learner_of("finetune/full", resnet, regularizer="bi-tuning", freeze_statistics=False)
    slow, fast = learner.module.aids["slow"][0], learner.module.backbone
    (before, *_), (norm, *_) = (batch_norms(network) for network in (slow, fast))
    was = before.running_mean.clone()
    train(learner, steps=1)
    (teacher,) = learner.teachers()
    expected = teacher.decay * was + (1 - teacher.decay) * norm.running_mean
    assert not torch.equal(norm.running_mean, was) and torch.allclose(before.running_mean, expected, atol=1e-6)


def test_bi_tunings_memory_holds_the_last_keys_of_each_class():
    memory = Memory(2, 1)
    for number in range(KEYS + 3):
        memory.add(torch.tensor([[float(number)]]), torch.zeros(1, 128), torch.tensor([0]))
    keys, _, owners = memory.with_new(torch.tensor([[99.0]]), torch.zeros(1, 128), torch.tensor([1]))
    assert sorted(keys.flatten().tolist()) == [*map(float, range(3, KEYS + 3)), 99.0]
    assert owners.tolist() == [1] + [0] * KEYS


def test_every_regularizer_says_where_it_comes_from():
    for name, cls in KNOWN.items():
        assert cls.name == name and cls.paper and cls.default_strength > 0 and cls.__doc__
