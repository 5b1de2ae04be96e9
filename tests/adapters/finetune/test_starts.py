"""Where fine-tuning starts: class means or a solved probe as the head, kept where training makes nothing better."""

import numpy as np
import pytest
import torch

from adapters.finetune.full import Full
from adapters.finetune.linear_probe import LinearProbe, LinearProbeParams
from adapters.finetune.lp_ft import LpFt
from adapters.finetune.prototypes import prototype_head
from studio import run
from studio.store import Store

CONV = {"backbone": "studio/conv4", "image_size": 16}
DATA = {"train": "builtin:digits?per_class=12"}
HARM = {"epochs": 2, "batch_size": 16, "workers": 1, "lr": 10, "clip": 1e6}


def test_the_prototype_head_is_the_nearest_class_mean():
    draw = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 8)
    features = draw.normal(size=(24, 5)) * [1, 10, 0.1, 3, 1] + labels[:, None] * [2, 20, 0.2, 0, 1] + 7
    head = prototype_head(features, labels, 4)
    z = (features - features.mean(axis=0)) / features.std(axis=0)
    distances = np.stack([np.square(z - z[labels == label].mean(axis=0)).sum(axis=1) for label in range(3)], axis=1)
    with torch.no_grad():
        logits = head(torch.from_numpy(features).float()).numpy()
    assert (logits[:, :3].argmax(axis=1) == distances.argmin(axis=1)).all()
    assert (logits[:, 3] < -1000).all()  # no image of class 3 was seen
    gaps, expected = logits[:, 0] - logits[:, 1], -0.5 * (distances[:, 0] - distances[:, 1])
    factor = gaps @ expected / (expected @ expected)
    np.testing.assert_allclose(gaps, factor * expected, rtol=1e-3, atol=1e-3)


def test_a_class_of_one_image_has_a_prototype_too():
    features, labels = np.eye(4) * 3, np.array([0, 1, 2, 2])
    with torch.no_grad():
        logits = prototype_head(features, labels, 3)(torch.from_numpy(features).float())
    assert logits.isfinite().all() and logits.argmax(dim=1).tolist() == [0, 1, 2, 2]


def test_rounding_errors_of_a_constant_channel_are_not_blown_up():
    draw = np.random.default_rng(0)
    features = np.concatenate([draw.normal(size=(20, 3)), 5 + 1e-7 * draw.normal(size=(20, 2))], axis=1)
    labels = np.repeat([0, 1], 10)
    heads = [prototype_head(features, labels, 2), LinearProbe(LinearProbeParams(c=1)).fit(features, labels).linear()]
    for head in heads:
        weight = head.weight.detach().abs()
        assert weight[:, 3:].max() < 100 * weight[:, :3].max()


@pytest.mark.parametrize("method", ["finetune/lp-ft", "finetune/full"])
def test_training_that_only_harms_keeps_the_start(home, method):
    recipe = {"method": method, "model": CONV, "data": DATA, "train": HARM, "params": {"backbone_lr": 1, "head_lr": 1}}
    result = run(recipe, home=home)
    events = Store(home).run(result.run).events()
    scores = [event["value"] for event in events if event["kind"] == "scalar" and event["name"] == "val/accuracy"]
    assert len(scores) == 3 and scores[0] > max(scores[1:])
    assert result.metrics["best_epoch"] == 0 and result.metrics["accuracy"] == pytest.approx(scores[0], abs=1e-6)
    if method == "finetune/lp-ft":
        probe = run({**recipe, "method": "finetune/linear-probe", "params": {}}, home=home)
        assert result.metrics["accuracy"] == pytest.approx(probe.metrics["accuracy"], abs=1e-6)


def test_a_random_head_is_a_choice_and_is_no_candidate(home):
    recipe = {"method": "finetune/full", "model": CONV, "data": DATA, "params": {"head": "random"}}
    assert run({**recipe, "train": {**HARM, "lr": 0.01}}, home=home).metrics["best_epoch"] >= 1


@pytest.mark.parametrize("params", [{"regularizer": "stoch-norm"}, {"freeze_statistics": False}])
def test_class_means_are_no_start_where_batch_statistics_change_the_features(params):
    assert Full(Full.Params()).starts_solved and not Full(Full.Params(**params)).starts_solved
    assert LpFt(LpFt.Params(**params)).starts_solved  # a probe was asked for


def test_sgd_moves_a_good_start_less_than_adamw(home):
    drift = {}
    for optimizer in ("sgd", "adamw"):
        train = {"epochs": 2, "batch_size": 16, "workers": 1, "lr": 0.001, "optimizer": optimizer}
        params = {"backbone_lr": 1, "head_lr": 1}
        recipe = {"method": "finetune/lp-ft", "model": CONV, "data": DATA, "params": params}
        recipe["eval"] = {"selection": "last"}
        ends = [
            Store(home).checkpoint(run({**recipe, "train": {**train, **more}}, home=home).checkpoint).tensors()
            for more in ({"max_steps": 1, "lr": 1e-12}, {})
        ]
        drift[optimizer] = sum(float((ends[1][name] - ends[0][name]).abs().sum()) for name in ends[0])
    assert 0 < drift["sgd"] < drift["adamw"]
