"""The losses of methods that learn a space, against their equations written slowly, and against easyfsl's classes."""

import math

import numpy as np
import pytest
import torch
from tiny_backbone import QUERIES, SHOTS, WAYS, learner_of, tasks
from torch import nn

from fewshot.heads.common import class_means
from fewshot.meta.base import embedded
from studio.core import registry
from studio.core.faces import LearnerContext
from studio.core.streams import Batch, Step


def by_hand(learner, batch, task):
    """Features float64 [W, K, D] and [W, Q, D] of one task."""
    with torch.no_grad():
        support, query = (
            learner.embed(images[task].flatten(0, 1)).double().numpy() for images in (batch.support, batch.query)
        )
    return support.reshape(WAYS, SHOTS, -1), query.reshape(WAYS, QUERIES, -1)


def mean_loss(learner, batch, log_probability):
    """-log p of the right way, averaged over tasks and queries; log_probability(support, x) gives it for all ways."""
    losses = []
    for task in range(len(batch.support)):
        support, query = by_hand(learner, batch, task)
        losses += [-log_probability(support, x)[way] for way in range(WAYS) for x in query[way]]
    return float(np.mean(losses))


def log_softmax(values):
    return values - max(values) - math.log(sum(math.exp(v - max(values)) for v in values))


def test_protonet_loss_is_equation_2():
    learner, batch = learner_of("protonet"), tasks()

    def equation(support, x):
        return log_softmax(np.array([-((x - support[way].mean(0)) ** 2).sum() for way in range(WAYS)]))

    assert float(learner.losses(batch, Step(0, 1))["loss"].detach()) == pytest.approx(
        mean_loss(learner, batch, equation), abs=1e-5
    )


def test_matching_networks_loss_is_equation_1():
    learner, batch = learner_of("matching-networks", scale=7.0), tasks()

    def equation(support, x):
        cosine = [[7 * x @ s / np.linalg.norm(x) / np.linalg.norm(s) for s in support[way]] for way in range(WAYS)]
        attention = np.exp(cosine) / np.exp(cosine).sum()
        return np.log(attention.sum(1))

    assert float(learner.losses(batch, Step(0, 1))["loss"].detach()) == pytest.approx(
        mean_loss(learner, batch, equation), abs=1e-5
    )


def test_pmf_loss_is_scaled_cosine_and_its_scale_learns():
    learner, batch = learner_of("pmf", finetune_lr=0.0), tasks()

    def equation(support, x):
        means = support.mean(1)
        return log_softmax(10 * means @ x / np.linalg.norm(x) / np.linalg.norm(means, axis=1))

    loss = learner.losses(batch, Step(0, 1))["loss"]
    loss.backward()
    assert float(loss.detach()) == pytest.approx(mean_loss(learner, batch, equation), abs=1e-5)
    assert learner.network.log_scale.grad.abs() > 0


@pytest.mark.parametrize("frozen", [True, False])
def test_pmf_keeps_the_pretrained_statistics_unless_told_otherwise(frozen):
    cls = registry.get("fewshot/pmf")
    learner = cls(cls.Params(freeze_statistics=frozen))
    backbone = registry.backbone("pip/tf_efficientnet_lite0", image_size=32)
    learner.setup(LearnerContext(backbone, [], seed=0, extra={"ways": WAYS}))
    before = {name: value.clone() for name, value in learner.state().items() if "running_mean" in name}
    learner.train_mode(True)
    draw = torch.Generator().manual_seed(0)
    batch = Batch(**{side: torch.randn(1, WAYS, 2, 3, 32, 32, generator=draw) for side in ("support", "query")})
    sum(learner.losses(batch, Step(0, 1)).values()).backward()
    after = learner.state()
    assert all(torch.equal(after[name], value) for name, value in before.items()) == frozen
    assert all(weight.grad is not None for name, weight in learner.network.named_parameters() if "bn" in name)


def test_feat_scores_are_those_of_easyfsl_with_the_same_attention():
    methods, modules = pytest.importorskip("easyfsl.methods"), pytest.importorskip("easyfsl.modules")
    learner, batch = learner_of("feat", temperature=1.0), tasks(1)
    learner.train_mode(False)
    ours, dim = learner.network.attention, learner.network.backbone.dim
    theirs = modules.MultiHeadAttention(1, dim, dim, dim).eval()
    names = {"w_qs": ours.query, "w_ks": ours.key, "w_vs": ours.value, "fc": ours.out, "layer_norm": ours.norm}
    for name, layer in names.items():
        getattr(theirs, name).load_state_dict(layer.state_dict())
    episodes, _ = embedded(learner.embed, batch)
    peer = methods.FEAT(nn.Identity(), attention_module=theirs)
    with torch.no_grad():
        peer.process_support_set(episodes.support[0], episodes.labels[0])
        torch.testing.assert_close(
            -learner.head().scores(episodes)[0].abs().sqrt(), peer(episodes.query[0]), rtol=1e-4, atol=1e-4
        )


def test_feat_own_class_loss_is_that_of_equation_9():
    learner, batch = learner_of("feat", temperature=2.0, balance=0.5, dropout=0.0), tasks()
    losses = []
    for task in range(2):
        support, query = by_hand(learner, batch, task)
        members = torch.tensor(np.concatenate([support, query], 1), dtype=torch.float32)
        with torch.no_grad():
            centres = [learner.network.attention(members[way][None])[0].mean(0).double().numpy() for way in range(WAYS)]
        for way in range(WAYS):
            for x in members[way].double().numpy():
                losses.append(-log_softmax(np.array([-((x - c) ** 2).sum() / 2.0 for c in centres]))[way])
    assert float(learner.losses(batch, Step(0, 1))["own class"].detach()) == pytest.approx(
        0.5 * np.mean(losses), abs=1e-5
    )


def test_relations_are_those_of_easyfsl_with_the_same_module():
    methods = pytest.importorskip("easyfsl.methods")
    learner, batch = learner_of("relation-networks"), tasks(1)
    learner.train_mode(False)
    episodes, truth = embedded(learner.embed, batch)
    channels, *side = learner.shape
    peer = methods.RelationNetworks(
        nn.Identity(), feature_dimension=channels, relation_module=nn.Sequential(learner.network.relation, nn.Sigmoid())
    )
    with torch.no_grad():
        peer.process_support_set(episodes.support[0].unflatten(1, (channels, *side)), episodes.labels[0])
        theirs = peer(episodes.query[0].unflatten(1, (channels, *side)))
        torch.testing.assert_close(learner.head().scores(episodes)[0].sigmoid(), theirs, rtol=1e-4, atol=1e-5)
        squared = (theirs - nn.functional.one_hot(truth[0], WAYS)).square().mean()
        assert float(learner.losses(batch, Step(0, 1))["loss"].detach()) == pytest.approx(float(squared), abs=1e-5)


def test_relations_scored_in_parts_are_those_scored_together(monkeypatch):
    learner, batch = learner_of("relation-networks"), tasks(5)
    learner.train_mode(False)
    episodes, _ = embedded(learner.embed, batch)
    together = learner.head().scores(episodes).detach()
    monkeypatch.setattr("fewshot.meta.relation_networks.PAIRS_MB", 0)
    with torch.no_grad():
        torch.testing.assert_close(learner.head().scores(episodes), together)


def test_tasks_are_embedded_in_their_order():
    learner, batch = learner_of("protonet"), tasks()
    episodes, truth = embedded(learner.embed, batch)
    alone = learner.embed(batch.support[1, 2])
    torch.testing.assert_close(episodes.support[1][episodes.labels[1] == 2], alone)
    torch.testing.assert_close(class_means(episodes)[1, 2], alone.mean(0))
    assert truth[0].tolist() == [way for way in range(WAYS) for _ in range(QUERIES)]
