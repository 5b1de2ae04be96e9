"""Few-shot detection from every door: a new head on a frozen detector, few boxes, and three ways on one table."""

import re

import pytest
import small_runs
import torch
from inline_runs import work

from adapters.detect.run.comparison import BASE, COLUMNS, KNOWN
from studio.core import recipe as recipes
from studio.runs.executors import run_inline
from studio.runs.predict import load_checkpoint
from studio.runs.runner import submit
from studio.store import Store

SMALL = {**small_runs.SMALL, "model": {"image_size": 64, "backbone": "timm/test_efficientnet?random"}}
DATA = {"train": "builtin:scenes?images=20&size=96&classes=3&seed=1", "shots": 2}
LAST = ("cls_logits", "bbox_reg", "bbox_ctrness")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A detector of two classes, and its home."""
    from studio.core.home import Home

    home = Home.find(tmp_path_factory.mktemp("few") / "home")
    _, result = work(SMALL, home)
    assert result.status == "finished", result.error
    return result.checkpoint, home


def few(checkpoint: str, **train) -> dict:
    return {
        **SMALL,
        "model": {**SMALL["model"], "checkpoint": checkpoint},
        "data": {**DATA, "test": "builtin:scenes?images=6&size=96&classes=3&seed=5"},
        "params": {**SMALL["params"], "heads_only": True},
        "train": {**SMALL["train"], **train},
    }


def test_a_frozen_detector_learns_a_new_class_from_few_boxes(base):
    checkpoint, home = base
    run, result = work(few(checkpoint, max_steps=3), home)
    assert result.status == "finished", result.error
    numbers = result.metrics
    each = numbers["map_per_class"]
    assert numbers["map_known"] == pytest.approx((each["0"] + each["1"]) / 2)
    assert numbers["map_new"] == pytest.approx(each["2"])
    notes = [one["message"] for one in run.events() if one["kind"] == "note"]
    assert any("Shots: 6 boxes, 2 of each class" in one for one in notes)
    (table,) = [one for one in run.events() if one["kind"] == "table" and one["name"] == "per class"]
    assert [row[-1] for row in table["rows"]] == ["known", "known", "new"]
    store = Store(home)
    before, after = (store.checkpoint(one).tensors() for one in (checkpoint, result.checkpoint))
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    assert moved and all(any(part in name for part in LAST) for name in moved)


@pytest.mark.usefixtures("asked_at_every_step")
def test_a_stopped_run_of_few_shots_ends_as_if_it_had_not_been_stopped(base):
    checkpoint, home = base
    values = few(checkpoint, max_steps=4, checkpoint_every_s=0, ema=0.5)
    _, whole = work(values, home)
    run = submit(recipes.parse(values), Store(home))

    def after_two_steps() -> bool:
        return sum(one["kind"] == "scalar" and one["name"] == "train/classification" for one in run.events()) >= 2

    assert run_inline(run, home, should_stop=after_two_steps).status == "stopped"
    rest = run_inline(run, home, resume=True, should_stop=lambda: False)
    assert rest.status == "finished", rest.error
    kept = [name for name in whole.metrics if name.startswith(("map", "voc"))]
    assert "map_new" in kept and all(rest.metrics[name] == whole.metrics[name] for name in kept)


def compared(**values) -> dict:
    own = {"detector": "detect/fcos", "detector_params": SMALL["params"], "base_epochs": 1}
    params = {**own, **values.pop("params", {})}
    return {**SMALL, "method": "detect/few-shot", "data": DATA, "params": params, **values}


THREE_WAYS = compared(
    params={"base": "builtin:scenes?images=10&size=96&classes=2"}, train={**SMALL["train"], "max_steps": 2}
)


@pytest.fixture(scope="module")
def three_ways(base):
    home = base[1]
    run, result = work(THREE_WAYS, home)
    assert result.status == "finished", result.error
    return run, result, home


def test_three_ways_stand_below_what_two_of_them_go_on_from(three_ways):
    run, result, home = three_ways
    (table,) = [one for one in run.events() if one["kind"] == "table" and one["name"] == "comparison"]
    assert table["columns"] == [*COLUMNS[:3], *KNOWN, *COLUMNS[3:]]
    rows = {row[0]: dict(zip(table["columns"], row, strict=True)) for row in table["rows"]}
    assert table["rows"][0][0] == BASE and set(rows) == {BASE, "new head", "all tuned", "shots alone"}
    assert rows[BASE]["AP"] is None and rows[BASE]["AP known"] is not None and rows[BASE]["AP new"] is None
    assert all(rows[name]["AP new"] is not None for name in rows if name != BASE)
    store = Store(home)
    tensors = {name: store.checkpoint(row["checkpoint"]).tensors() for name, row in rows.items()}
    name = "backbone.fpn.layer_blocks.0.0.weight"
    assert torch.equal(tensors["new head"][name], tensors[BASE][name])
    assert not torch.equal(tensors["all tuned"][name], tensors[BASE][name])
    assert load_checkpoint(rows[BASE]["checkpoint"], home).classes == ["0", "1"]
    parents = {name: store.checkpoint(row["checkpoint"]).manifest.lineage["parent"] for name, row in rows.items()}
    assert parents == {
        BASE: None, "new head": rows[BASE]["checkpoint"], "all tuned": rows[BASE]["checkpoint"], "shots alone": None
    }  # fmt: skip


@pytest.mark.usefixtures("asked_at_every_step")
def test_a_stopped_comparison_goes_on_from_the_same_base(three_ways):
    _, whole, home = three_ways
    run = submit(recipes.parse(THREE_WAYS), Store(home))

    def once_all_are_tuned() -> bool:
        return any(one["kind"] == "scalar" and one["name"] == "all tuned/train/classification" for one in run.events())

    assert run_inline(run, home, should_stop=once_all_are_tuned).status == "stopped"
    rest = run_inline(run, home, resume=True, should_stop=lambda: False)
    assert rest.status == "finished", rest.error
    assert rest.metrics["map_by_name"] == whole.metrics["map_by_name"]


def test_a_detector_of_ones_own_takes_the_place_of_the_base(base):
    checkpoint, home = base
    values = compared(model={**SMALL["model"], "checkpoint": checkpoint}, train={**SMALL["train"], "max_steps": 1})
    run, result = work(values, home)
    assert result.status == "finished", result.error
    (table,) = [one for one in run.events() if one["kind"] == "table" and one["name"] == "comparison"]
    assert len(table["rows"]) == 3 and result.metrics["map_new"] is not None


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({}, "found neither"),
        ({"base": "builtin:scenes", "detector": "detect/mean-teacher", "detector_params": {}}, "from boxes alone"),
        ({"base": "builtin:scenes", "detector_params": {"widht": 32}}, "detector_params.*widht.*width"),
        ({"base": "builtin:digits"}, "has no boxes"),
    ],
)
def test_what_can_not_be_compared_is_refused(home, params, said):
    _, result = work(compared(params=params), home)
    assert result.exit_code == 2 and re.search(said, result.error), result.error
