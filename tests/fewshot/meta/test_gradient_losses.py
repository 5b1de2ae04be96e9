"""Methods that learn a start: their gradients against the chain rule written out, and their scores step by step."""

import pytest
import torch
from tiny_backbone import WAYS, learner_of, needs_learn2learn, tasks
from torch.func import functional_call
from torch.nn import functional

from fewshot.meta.base import embedded, ways_of
from studio.core.errors import UsageError
from studio.core.streams import Batch, Step


def meta_gradient(network, batch, lr, steps, first_order=False, lrs=None):
    """The gradient of the mean query loss by the start, through plain steps on the support."""
    start = {name: p.detach().clone().requires_grad_() for name, p in network.named_parameters()}
    labels, truth = ways_of(batch.support)[0], ways_of(batch.query)[0]
    total = 0.0
    for support, query in zip(batch.support.flatten(1, 2), batch.query.flatten(1, 2), strict=True):
        weights = dict(start)
        for _ in range(steps):
            loss = functional.cross_entropy(functional_call(network, weights, (support,)), labels)
            slopes = torch.autograd.grad(loss, list(weights.values()), create_graph=not first_order)
            weights = {name: w - lr * slope for (name, w), slope in zip(weights.items(), slopes, strict=True)}
        total = total + functional.cross_entropy(functional_call(network, weights, (query,)), truth)
    total = total / len(batch.support)
    return float(total.detach()), dict(zip(start, torch.autograd.grad(total, list(start.values())), strict=True))


@needs_learn2learn
@pytest.mark.parametrize("method", ["maml", "fomaml", "meta-sgd"])
def test_the_gradient_goes_through_the_inner_steps_where_the_method_says_so(method):
    learner, batch = learner_of(method, inner_lr=0.5, inner_steps=2), tasks()
    value, expected = meta_gradient(learner.network, batch, 0.5, 2, first_order=method == "fomaml")
    loss = learner.losses(batch, Step(0, 1))["loss"]
    loss.backward()
    assert float(loss.detach()) == pytest.approx(value, abs=1e-5)
    for name, parameter in learner.network.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-4, atol=1e-6)


@needs_learn2learn
def test_first_and_second_order_differ():
    batch = tasks()
    network = learner_of("maml").network
    first, second = (meta_gradient(network, batch, 0.5, 2, first)[1] for first in (True, False))
    assert any((first[name] - second[name]).abs().max() > 1e-3 for name in first)


@needs_learn2learn
def test_meta_sgd_learns_its_step_lengths_and_keeps_them():
    learner, batch = learner_of("meta-sgd", inner_lr=0.5), tasks()
    learner.losses(batch, Step(0, 1))["loss"].backward()
    assert all(lr.grad is not None and lr.grad.abs().max() > 0 for lr in learner.module.lrs)
    with torch.no_grad():
        learner.module.lrs[0].fill_(0.25)
    other = learner_of("meta-sgd", inner_lr=0.5)
    other.load_state(learner.state())
    assert float(other.losses(batch, Step(0, 1))["loss"].detach()) == float(
        learner.losses(batch, Step(0, 1))["loss"].detach()
    )


def test_reptile_pulls_the_start_to_where_the_steps_lead():
    learner, batch = learner_of("reptile", inner_lr=0.3, inner_steps=3), tasks(2)
    learner.losses(batch, Step(0, 1))["loss"].backward()
    network = learner.network
    start = {name: p.detach().clone() for name, p in network.named_parameters()}
    pulls = {name: torch.zeros_like(p) for name, p in start.items()}
    everything = torch.cat([batch.support, batch.query], 2)
    labels = ways_of(everything)[0]
    for images in everything.flatten(1, 2):
        network.load_state_dict(start)
        for _ in range(3):
            slopes = torch.autograd.grad(functional.cross_entropy(network(images), labels), list(network.parameters()))
            with torch.no_grad():
                for parameter, slope in zip(network.parameters(), slopes, strict=True):
                    parameter -= 0.3 * slope
        for name, parameter in network.named_parameters():
            pulls[name] += (start[name] - parameter.detach()) / 2
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(parameter.grad, pulls[name], rtol=1e-4, atol=1e-6)


@needs_learn2learn
def test_anil_scores_all_episodes_as_learn2learn_adapts_each():
    learner, batch = learner_of("anil", inner_lr=0.4, inner_steps=3, test_steps=3), tasks()
    episodes, truth = embedded(learner.embed, batch)
    scores = learner.episode_head().scores(episodes)
    loss = functional.cross_entropy(scores.flatten(0, 1), truth.flatten())
    torch.testing.assert_close(loss, learner.losses(batch, Step(0, 1))["loss"], rtol=1e-5, atol=1e-6)


@needs_learn2learn
def test_scoring_adapts_as_training_does():
    learner, batch = learner_of("maml", inner_lr=0.5, inner_steps=2, test_steps=2), tasks(1)
    labels = ways_of(batch.support)[0]
    pixels = [(images * 40 + 128).clamp(0, 255).byte() for images in (batch.support, batch.query)]
    support, query = (images[0].flatten(0, 1) for images in pixels)
    scores = learner.pixel_scores(support, labels, query)
    from fewshot.meta.tasks import to_float

    batch = Batch(support=to_float(pixels[0], learner.preprocess), query=to_float(pixels[1], learner.preprocess))
    loss = functional.cross_entropy(scores, ways_of(batch.query)[0])
    assert float(loss) == pytest.approx(float(learner.losses(batch, Step(0, 1))["loss"].detach()), abs=1e-5)
    assert scores.shape[1] == WAYS


def test_a_missing_learn2learn_is_said_in_a_sentence(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "learn2learn", None)
    with pytest.raises(UsageError, match=r"built on learn2learn.*doctor"):
        learner_of("maml")
