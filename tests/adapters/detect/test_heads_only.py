"""A frozen detector with new last layers: what learns, what stays to the last bit, and the cosine head."""

import re

import numpy as np
import pytest
import torch
from small_detectors import DETECTORS, look, small, train

from adapters.detect.cosine import Cosine
from studio.core import registry
from studio.core.errors import UsageError

ONE_MAP = {"detect/detr", "detect/conditional-detr", "detect/yolos"}  # with dropout that is a function, not a layer


def last_layers(method: str) -> tuple[str, ...]:
    cls = registry.get(method)
    return (*cls.class_rows, *cls.box_layers)


@pytest.mark.parametrize("method", DETECTORS)
def test_the_last_layers_learn_and_all_else_stays_statistics_too(method, scenes):
    free = {"freeze_statistics": False, **({"dropout": 0.5} if method in ONE_MAP else {})}
    learner = small(method, heads_only=True, **free)
    before = {name: tensor.clone() for name, tensor in learner.state().items()}
    train(learner, scenes, 2)
    moved = {name for name, tensor in learner.state().items() if not torch.equal(tensor, before[name])}
    learning = {name for name, one in learner.module.named_parameters(remove_duplicate=False) if one.requires_grad}
    assert moved and moved <= learning
    assert all(any(re.search(one, name) for one in last_layers(method)) for name in learning)
    placing = [name for name in moved if "bbox" in name or "place" in name or "regression" in name]
    assert placing and moved - set(placing), moved  # of class and of place


@pytest.mark.parametrize("method", DETECTORS)
def test_every_pattern_of_a_last_layer_names_one(method):
    names = small(method).state()
    for pattern in last_layers(method):
        assert any(re.search(pattern, name) for name in names), pattern


def test_nothing_is_dropped_in_what_stays(scenes):
    learner = small("detect/detr", heads_only=True, dropout=0.5)
    learner.train_mode(True)
    images = torch.zeros(1, 3, 96, 96)
    torch.manual_seed(0)
    first = learner.module(pixel_values=images).last_hidden_state
    assert torch.equal(first, learner.module(pixel_values=images).last_hidden_state)


def test_updates_of_attention_and_an_adversary_are_refused_beside_it():
    with pytest.raises(UsageError, match=r"params\.heads_only.*lora"):
        small("detect/detr", heads_only=True, lora=2)
    with pytest.raises(UsageError, match=r"params\.heads_only.*domain"):
        small("detect/da-faster-rcnn", heads_only=True)


def test_the_cosine_head_is_that_of_the_paper():
    torch.manual_seed(0)
    head, features = Cosine(16, 5, 20.0), torch.randn(7, 16) * torch.logspace(-3, 3, 7)[:, None]
    x, w = features.double().numpy(), head.weight.detach().double().numpy()
    wanted = 20.0 * (x @ w.T) / (np.linalg.norm(x, axis=1)[:, None] * np.linalg.norm(w, axis=1)[None])
    np.testing.assert_allclose(head(features).detach().numpy(), wanted, rtol=1e-5, atol=1e-5)
    assert not head(torch.zeros(1, 16)).any()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(head(features.bfloat16()), head(features.bfloat16().float()))


def test_a_cosine_head_is_learned_saved_and_takes_over_the_directions_of_a_plain_one(scenes):
    plain = small("detect/faster-rcnn")
    learner = small("detect/faster-rcnn", classes=("1", "2"), cosine=20.0)
    assert learner.inherit(plain.state(), ["0", "1"], ["1", "2"]) == ["1"]
    name = "roi_heads.box_predictor.cls_score.weight"
    assert torch.equal(learner.state()[name][:2], plain.state()[name][[0, 2]])
    train(learner, scenes, 2)
    again = small("detect/faster-rcnn", classes=("1", "2"), cosine=20.0, weights=False)
    again.load_state({name: tensor.clone() for name, tensor in learner.state().items()})
    for one, two in zip(look(learner, scenes), look(again, scenes), strict=True):
        np.testing.assert_array_equal(one.scores, two.scores)
