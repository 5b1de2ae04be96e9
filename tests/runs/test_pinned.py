"""A filed recipe names checkpoints by id, so that `last` is what was newest then; a solved head can be evaluated."""

import pytest
from inline_runs import work

from studio.core.errors import UsageError
from studio.core.home import Home
from studio.core.recipe import parse
from studio.runs.pinned import pinned
from studio.store import Store

SOLVED = {
    "method": "finetune/linear-probe", "device": "cpu", "model": {"backbone": "studio/conv4", "image_size": 16},
    "data": {"train": "builtin:digits?per_class=10"},
}  # fmt: skip


def going_on(checkpoint, **train):
    return {**SOLVED, "model": {"checkpoint": checkpoint, "image_size": 16}, "train": train}


@pytest.fixture(scope="module")
def solved(tmp_path_factory):
    home = Home.find(tmp_path_factory.mktemp("pinned") / "home")
    return home, work(SOLVED, home)[1]


def test_the_last_checkpoint_is_evaluated_and_named_by_id(solved):
    home, first = solved
    run, again = work(going_on("last", epochs=0), home)
    assert again.status == "finished", again.error
    assert again.metrics["accuracy"] == first.metrics["accuracy"]
    assert run.recipe().model.checkpoint == first.checkpoint
    assert Store(home).checkpoint(again.checkpoint).manifest.lineage["parent"] == first.checkpoint
    assert any(first.checkpoint in event.get("message", "") for event in run.events())


def test_a_head_is_solved_anew_on_the_backbone_of_a_checkpoint(solved):
    home, first = solved
    _, anew = work(going_on(first.checkpoint), home)
    assert anew.metrics["accuracy"] == first.metrics["accuracy"]


def test_what_can_not_be_evaluated_is_said(solved):
    home, first = solved
    _, none = work({**SOLVED, "train": {"epochs": 0}}, home)
    assert none.status == "failed" and "needs model.checkpoint" in none.error
    _, other = work(
        {**going_on(first.checkpoint, epochs=0), "data": {"train": "builtin:glyphs?classes=3&size=16"}}, home
    )
    assert other.status == "failed" and "Only the same method and classes can be evaluated" in other.error


def test_data_and_ensembles_name_theirs_by_id_too_and_what_is_not_there_yet_keeps_its_name(solved):
    home, first = solved
    short = first.checkpoint[:-2]
    data = {"train": f"builtin:digits | translate:{short}?short_side=32", "val": "builtin:digits | translate:to-come"}
    recipe = pinned(parse({**SOLVED, "data": data}), Store(home))
    assert recipe.data.train == f"builtin:digits | translate:{first.checkpoint}?short_side=32"
    assert recipe.data.val == data["val"]
    detect = {"task": "detect", "method": "detect/ssdlite", "eval": {"ensemble": [short, "to-come"]}}
    assert pinned(parse(detect), Store(home)).eval.ensemble == [first.checkpoint, "to-come"]


REFUSING = ["align/coral", "align/table", "fewshot/compare", "generalize/table", "rank/gap", "reid/frozen"]


@pytest.mark.parametrize("method", [*REFUSING, "translate/gatys"])
def test_a_method_that_goes_on_from_no_checkpoint_refuses_one(method):
    task = method.partition("/")[0].replace("fewshot", "classify")
    data = {"data": {"target": "images:styles"}} if task == "translate" else {}
    assert parse({"task": task, "method": method, **data}).model.checkpoint is None
    with pytest.raises(UsageError, match=f"{method} goes on from none; leave it out.* store/some-1"):
        parse({"task": task, "method": method, **data, "model": {"checkpoint": "some-1"}})
