"""All regularizers on one table from one run."""

import numpy as np
import pytest

from adapters.finetune.run.comparison import Trained, rows
from studio import run
from studio.core import recipe as recipes
from studio.core.errors import UsageError
from studio.runs.executors import run_inline
from studio.runs.runner import submit
from studio.store import Store

VIT = "timm/vit_tiny_patch16_224?random&img_size=16&patch_size=8&embed_dim=16&depth=1&num_heads=2"
RECIPE = {
    "method": "finetune/compare",
    "model": {"backbone": "studio/conv4", "image_size": 16},
    "data": {"train": "builtin:digits?per_class=4"},
    "train": {"epochs": 1, "batch_size": 16, "workers": 1},
}


def table_of(home, result):
    events = list(Store(home).run(result.run).events())
    return next(event for event in events if event["kind"] == "table"), events


def test_every_regularizer_that_fits_is_in_the_table_and_the_rest_are_named(home):
    result = run(RECIPE, home=home)
    table, events = table_of(home, result)
    warned = [event["message"].split()[0] for event in events if event["kind"] == "warning"]
    assert {row[0] for row in table["rows"]} == {"none", "bi-tuning", "bss", "delta", "l2-sp", "stoch-norm"}
    assert warned == ["co-tuning", "lwf"]  # an untrained network has no classifier to learn from
    assert all(row[-1] > 0 and 0 <= row[1] <= 1 for row in table["rows"])
    assert any(event["kind"] == "figure" and event["name"] == "comparison" for event in events)
    assert result.checkpoint is None and result.metrics["accuracy"] == max(result.metrics["accuracy_by_name"].values())


def test_one_row_is_what_the_same_run_alone_gives(home):
    compared = run({**RECIPE, "params": {"regularizers": ["l2-sp"]}}, home=home)
    alone = run({**RECIPE, "method": "finetune/full", "params": {"regularizer": "l2-sp"}}, home=home)
    assert compared.metrics["accuracy_by_name"]["l2-sp"] == alone.metrics["accuracy"]


def test_named_ones_must_exist_and_fit(home):
    with pytest.raises(UsageError, match=r"params\.regularizers: .*'l2sp'.*l2-sp"):
        run({**RECIPE, "params": {"regularizers": ["l2sp"]}}, home=home)
    with pytest.raises(UsageError, match="stoch-norm"):
        run({**RECIPE, "model": {"backbone": VIT}, "params": {"regularizers": ["stoch-norm"]}}, home=home)
    with pytest.raises(UsageError, match=r"leave out train\.folds"):
        run({**RECIPE, "train": {"folds": 2}}, home=home)


def test_wrong_data_ends_the_run_with_its_own_sentence(home):
    with pytest.raises(UsageError, match=r"data\.train"):
        run({**RECIPE, "data": {}}, home=home)
    with pytest.raises(UsageError, match=r"model\.image_size"):
        run({**RECIPE, "model": {"backbone": "timm/vit_tiny_patch16_224?random", "image_size": 30}}, home=home)


@pytest.mark.usefixtures("asked_at_every_step")
def test_a_stopped_comparison_goes_on_bit_for_bit(home):
    train = {**RECIPE["train"], "epochs": 3}  # of one step each
    recipe = recipes.parse({**RECIPE, "train": train, "params": {"regularizers": ["bss", "l2-sp"]}})
    whole, broken = (submit(recipe, Store(home)) for _ in range(2))
    assert run_inline(whole, home).status == "finished"
    assert run_inline(broken, home, should_stop=lambda: len(losses(broken)) >= 4).status == "stopped"
    assert run_inline(broken, home, resume=True).status == "finished"
    assert losses(broken) == losses(whole) and len(losses(whole)) == 9
    assert broken.metrics()["accuracy_by_name"] == whole.metrics()["accuracy_by_name"]


def losses(folder):
    scalars = [event for event in folder.events() if event["kind"] == "scalar" and "train/loss" in event["name"]]
    return {(event["name"], event["step"]): event["value"] for event in scalars}


def test_differences_are_paired_over_images():
    labels = np.array([0, 0, 1, 1])
    answers = {"none": [0, 1, 1, 0], "bss": [0, 0, 1, 0]}
    results = {name: Trained(np.eye(2)[guesses], labels, [], 1, 1.0) for name, guesses in answers.items()}
    reports = {
        name: {"accuracy": a, "accuracy_ci95": 0, "macro_f1": 0, "ece": 0} for name, a in (("none", 0.5), ("bss", 0.75))
    }
    best, first = rows(results, reports)
    assert best[0] == "bss" and best[3] == 0.25 and first[3:5] == [None, None]
