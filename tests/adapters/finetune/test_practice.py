"""The practice of fine-tuning: policies, mixing, averaging, balance, patience, folds; all of it resumes bit for bit."""

import numpy as np
import pytest
import torch

from adapters.finetune.task import ClassifyTrain
from studio.api import run
from studio.core import recipe as recipes
from studio.core.errors import UsageError
from studio.data.augment.policies import erase, mix, rand_augment, trivial_augment
from studio.data.preprocess import Preprocess
from studio.engine.averages import Average
from studio.engine.batches import TrainBatches, balanced
from studio.runs.executors import run_inline
from studio.runs.runner import submit
from studio.store import Store

CONV = {"backbone": "studio/conv4", "image_size": 16}
DATA = {"train": "builtin:digits?per_class=20"}
TRAIN = {"epochs": 2, "batch_size": 16, "workers": 1, "lr": 0.01}
EVERYTHING = {
    "augment": "trivial", "erasing": 0.5, "mixup": 0.2, "cutmix": 1.0, "balanced": True, "ema": 0.9, "micro_batch": 5,
    "restyle": "fda", "restyle_like": "builtin:glyphs?classes=2&per_class=2",
}  # fmt: skip


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def losses(folder):
    return {
        e["step"]: e["value"] for e in folder.events() if e["kind"] == "scalar" and e["name"].endswith("train/loss")
    }


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("finetune/full", {"regularizer": "bi-tuning", "dropout": 0.2, "freeze_statistics": False}),
        ("finetune/full", {"regularizer": "delta"}),
        ("finetune/lp-ft", {"regularizer": "l2-sp"}),
        ("finetune/bitfit", {"label_smoothing": 0.1}),
        ("finetune/lora", {"lora_dropout": 0.1}),
    ],
)
@pytest.mark.usefixtures("asked_at_every_step")
def test_a_run_with_everything_on_resumes_bit_for_bit(home, method, params):
    model = CONV if method != "finetune/lora" else {"backbone": VIT}
    optimizer = "sgd" if method == "finetune/bitfit" else "adamw"
    train = {**TRAIN, **EVERYTHING, "epochs": 3, "optimizer": optimizer}
    recipe = recipes.parse({"method": method, "params": params, "model": model, "data": DATA, "train": train})
    whole, broken = (submit(recipe, Store(home)) for _ in range(2))
    assert run_inline(whole, home).status == "finished"
    assert run_inline(broken, home, should_stop=lambda: len(losses(broken)) >= 3).status == "stopped"
    assert run_inline(broken, home, resume=True).status == "finished"
    assert losses(broken) == losses(whole) and len(losses(whole)) > 20
    assert broken.metrics()["accuracy"] == whole.metrics()["accuracy"]
    one, two = (Store(home).checkpoint(folder.checkpoint()).tensors() for folder in (whole, broken))
    assert all(torch.equal(one[name], two[name]) for name in one)


VIT = "timm/vit_tiny_patch16_224?random&img_size=16&patch_size=4&embed_dim=32&depth=2&num_heads=2"


@pytest.mark.parametrize("policy", [trivial_augment, rand_augment, lambda images, d: erase(images.float(), 1.0, d)])
def test_a_policy_is_a_pure_function_of_its_generator_and_keeps_the_shape(policy):
    images = torch.randint(256, (14, 3, 24, 24), generator=draw(1), dtype=torch.uint8)
    kept = images.clone()
    first, second, other = policy(images, draw(2)), policy(images, draw(2)), policy(images, draw(3))
    assert torch.equal(first, second) and first.shape == images.shape and first.dtype in (torch.uint8, torch.float32)
    assert not torch.equal(first, other) and not torch.equal(first.float(), images.float())
    assert torch.equal(images, kept)


def test_mixed_labels_are_shares_of_the_mixed_pixels():
    images = torch.zeros(2, 3, 20, 20)
    images[1] = 1.0
    labels = torch.tensor([0, 1])
    for seed in range(20):
        for mixup, cutmix in ((0.4, 0.0), (0.0, 1.0), (0.4, 1.0)):
            mixed, soft = mix(images, labels, 3, mixup, cutmix, draw(seed))
            assert torch.allclose(soft.sum(1), torch.ones(2))
            assert torch.allclose(mixed.mean((1, 2, 3)), soft[:, 1], atol=1e-5)


def test_balanced_epochs_show_each_class_equally_often_and_every_batch_is_mixed():
    labels = np.array([0] * 90 + [1] * 7 + [2] * 3)
    rows = balanced(labels, np.random.default_rng(0))
    counts = np.bincount(labels[rows], minlength=3)
    assert len(rows) == 100 and counts.max() - counts.min() <= 1
    assert set(rows[labels[rows] == 2]) == {97, 98, 99}
    assert all(len(set(labels[rows[i : i + 3]])) == 3 for i in range(0, 99, 3))


def test_without_augmentation_a_batch_is_the_middle_of_the_image():
    preprocess = Preprocess(8, 1.0, "bilinear", (0.0,) * 3, (1.0,) * 3)
    pixels = np.arange(4 * 3 * 10 * 10, dtype=np.uint8).reshape(4, 3, 10, 10)
    settings = ClassifyTrain(augment="none", batch_size=4)
    found = TrainBatches(pixels, np.arange(4), 4, preprocess, settings).batch(0).images
    assert torch.allclose(found, torch.from_numpy(pixels[:, :, 1:9, 1:9]).float() / 255)


def test_the_average_follows_the_weights_and_steps_aside():
    layer = torch.nn.Linear(2, 1)
    average = Average.of_trained(layer, 0.5)
    start = layer.weight.detach().clone()
    with torch.no_grad():
        layer.weight += 1.0
    average.update(step=10_000)
    with average.applied():
        assert torch.allclose(layer.weight, start + 0.5)
    assert torch.allclose(layer.weight, start + 1.0)


def test_patience_stops_a_run_that_no_longer_improves(home):
    train = {**TRAIN, "epochs": 200, "patience": 2, "lr": 1e-9}
    recipe = recipes.parse({"method": "finetune/full", "model": CONV, "data": DATA, "train": train})
    folder = submit(recipe, Store(home))
    result = run_inline(folder, home)
    assert result.status == "finished" and len(losses(folder)) < 300
    assert any("Stopped early" in event["message"] for event in folder.events() if event["kind"] == "note")


def test_micro_batches_give_the_gradient_of_the_whole_batch(home):
    values = {"method": "finetune/full", "model": {"backbone": VIT}, "data": DATA, "train": TRAIN}
    recipes_ = [recipes.parse({**values, "train": {**TRAIN, "micro_batch": size}}) for size in (None, 5)]
    folders = [submit(recipe, Store(home)) for recipe in recipes_]
    for folder in folders:
        assert run_inline(folder, home).status == "finished"
    one, two = (list(losses(folder).values())[:6] for folder in folders)
    assert one == pytest.approx(two, rel=1e-4)


def test_k_fold_judges_every_image_once_and_keeps_a_model_of_all(home):
    values = {"method": "finetune/lp-ft", "model": CONV, "data": {"train": "builtin:digits?per_class=6"}}
    result = run({**values, "train": {**TRAIN, "folds": 3}}, home=home)
    assert result.metrics["images"] == 60 and result.metrics["selection"] == "k-fold"
    tables = [event for event in Store(home).run(result.run).events() if event["kind"] == "table"]
    folds = next(table for table in tables if table["name"] == "folds")
    assert len(folds["rows"]) == 3
    mean = np.mean([row[1] for row in folds["rows"]])
    assert mean == pytest.approx(result.metrics["accuracy"], abs=1e-3)
    with pytest.raises(UsageError, match="train.patience"):
        run({**values, "train": {**TRAIN, "folds": 3, "patience": 1}}, home=home)
    with pytest.raises(UsageError, match="data.val"):
        run({**values, "data": {"train": DATA["train"], "val": DATA["train"]}, "train": {"folds": 3}}, home=home)


@pytest.mark.usefixtures("asked_at_every_step")
def test_k_fold_stopped_within_a_fold_goes_on_from_there_bit_for_bit(home):
    train = {**TRAIN, "folds": 2, "epochs": 4}
    values = {"method": "finetune/lp-ft", "model": CONV, "data": {"train": "builtin:digits?per_class=8"}}
    recipe = recipes.parse({**values, "train": train})
    whole, broken = (submit(recipe, Store(home)) for _ in range(2))
    assert run_inline(whole, home).status == "finished"
    for reached in (3, 11, 19):  # in the first fold, in the second, while training on all
        stop = lambda reached=reached: progress(broken) >= reached  # noqa: E731
        assert run_inline(broken, home, should_stop=stop, resume=reached > 3).status == "stopped"
    assert run_inline(broken, home, resume=True).status == "finished"
    assert all_losses(broken) == all_losses(whole)
    one, two = (Store(home).checkpoint(folder.checkpoint()).tensors() for folder in (whole, broken))
    assert all(torch.equal(one[name], two[name]) for name in one)


def all_losses(folder):
    scalars = [event for event in folder.events() if event["kind"] == "scalar" and "train/loss" in event["name"]]
    return {(event["name"], event["step"]): event["value"] for event in scalars}


def progress(folder):
    return len(all_losses(folder))


def test_wise_ft_tries_the_weights_between_before_and_after(home):
    values = {"model": CONV, "data": DATA, "train": TRAIN}
    end = run({**values, "method": "finetune/lp-ft"}, home=home)
    between = run({**values, "method": "finetune/wise-ft", "model": {**CONV, "checkpoint": end.checkpoint}}, home=home)
    events = Store(home).run(between.run).events()
    table = next(event for event in events if event["kind"] == "table" and event["name"].startswith("alpha"))
    scores = {row[0]: row[1] for row in table["rows"]}
    assert sorted(scores) == [step / 10 for step in range(11)]
    assert scores[1.0] == pytest.approx(end.metrics["accuracy"], abs=1e-4)
    assert between.metrics["accuracy"] == pytest.approx(max(scores.values()), abs=1e-4)
    with pytest.raises(UsageError, match="model.checkpoint"):
        run({**values, "method": "finetune/wise-ft"}, home=home)


def test_a_run_shows_where_the_network_looks_its_features_and_its_temperature(home):
    values = {"method": "finetune/full", "model": {"backbone": VIT}, "data": DATA, "train": {**TRAIN, "max_steps": 3}}
    result = run(values, home=home)
    names = {event["name"] for event in Store(home).run(result.run).events() if event["kind"] == "figure"}
    assert {"attention", "features", "confusion", "reliability", "curves"} <= names
    assert result.metrics["temperature"] > 0 and 0 <= result.metrics["ece_scaled"] <= 1
