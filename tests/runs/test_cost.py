"""What a run will cost: read from past runs and from a probe, and how sure it is."""

import json

import numpy as np
import pytest

from studio import estimate, run
from studio.cli import main
from studio.core import recipe as recipes
from studio.core.errors import StudioError, UsageError
from studio.core.home import Home
from studio.runs import cost, timeline
from studio.runs.probe import ThrowawayStore, _shortened
from studio.store import Store

SMALL = {
    "method": "finetune/full",
    "model": {"backbone": "studio/conv4", "image_size": 16},
    "data": {"train": "builtin:digits?per_class=6"},
    "train": {"epochs": 2, "batch_size": 8, "workers": 0},
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return Home.find(tmp_path_factory.mktemp("cost"))


@pytest.fixture(scope="module")
def trained(home):
    """A finished run of a small network, and what was known of its cost before anything had run."""
    unknown = estimate(SMALL, home=home, probe_s=0)
    return run(SMALL, home=home), unknown


def at(t, kind, **fields):
    return {"t": t, "kind": kind, **fields}


def progress(t, what, done, total, **fields):
    return at(t, "progress", what=what, done=done, total=total, **fields)


def training(start, step_s, judge_s, steps, epoch, planned, what="training"):
    """Events of a training whose first step takes a second."""
    events, now = [progress(start, what, 0, steps, planned=planned, epoch=epoch)], start + 1
    for done in range(1, steps + 1):
        now += step_s if done > 1 else 0
        events.append(progress(now, what, done, steps))
        if done % epoch == 0 or done == steps:
            now += judge_s
            events += [at(now, "scalar", name=f"val/{name}", value=0.5, step=done) for name in ("loss", "accuracy")]
    return events, now


def test_a_few_steps_tell_a_whole_training_with_its_judgments():
    events, now = training(10.0, 0.5, 3.0, steps=8, epoch=20, planned=100)
    ended = at(now + 2, "status", status="finished", seconds=now + 2 - 5, device="cpu", peak_memory_mb=800.0)
    seen = timeline.read([at(5.0, "status", status="running"), *events, ended])
    assert seen.trainings[0].step_s == pytest.approx(0.5) and seen.trainings[0].judge_s == pytest.approx(3.0)
    # 5 s before, 1 + 99 * 0.5 of steps, 5 judgments, 2 s after
    assert seen.whole_s() == pytest.approx(5 + 1 + 99 * 0.5 + 5 * 3 + 2)
    assert seen.whole_s(scale=2) == pytest.approx(5 + 1 + 199 * 0.5 + 10 * 3 + 2)
    assert seen.whole_s(most=20) == pytest.approx(5 + 1 + 19 * 0.5 + 3 + 2)
    assert seen.memory_mb == 800.0


def test_judging_between_steps_is_no_part_of_a_step():
    events, now = training(0.0, 0.5, 3.0, steps=8, epoch=2, planned=8)
    seen = timeline.read([at(0.0, "status", status="running"), *events])
    assert seen.trainings[0].step_s == pytest.approx(0.5)
    assert seen.trainings[0].judging_s == pytest.approx([3.0] * 4)


def test_what_was_broken_off_goes_on_as_it_went():
    half = [progress(t, "features of train", 10 * t, 100) for t in range(1, 6)]
    seen = timeline.read([at(0, "status", status="running"), *half])
    assert seen.whole_s() == pytest.approx(10.0)
    cells = [progress(t, "cells", done, 6) for t, done in ((1, 0), (4, 1), (7, 2))]
    assert timeline.read([at(1, "status", status="running"), *cells]).whole_s() == pytest.approx(18.0)


def test_features_that_are_kept_are_not_computed_twice():
    events = [progress(t, "features of train", 25 * t, 100) for t in range(5)]
    ended = at(6, "status", status="finished", seconds=6.0, device="cpu")
    seen = timeline.read([at(0, "status", status="running"), *events, ended])
    assert (seen.whole_s(), seen.whole_s(cached=True)) == pytest.approx((6.0, 2.0))


def test_features_that_are_asked_for_again_are_taken_off_as_they_were_computed():
    """A second look at kept features is one event that says all; half of the first may be there from another run."""
    events = [progress(t, "features of train", done, 100) for t, done in ((0, 50), (2, 100), (40, 100), (41, 100))]
    events += [progress(t, "features of train", done, 100) for t, done in ((42, 0), (45, 100))]  # of another backbone
    ended = at(50, "status", status="finished", seconds=50.0, device="cpu")
    assert timeline.read([at(0, "status", status="running"), *events, ended]).whole_s(cached=True) == pytest.approx(
        45.0
    )


def test_a_past_run_tells_the_next_and_one_twice_as_long(trained, home):
    result, unknown = trained
    assert unknown is None
    again = estimate({**SMALL, "name": "again", "train": {**SMALL["train"], "seed": 5}}, home=home)
    assert again.source == "past" and again.runs == 1 and again.seconds == pytest.approx(result.seconds, rel=0.05)
    assert again.low_s < again.seconds < again.high_s and again.memory_mb > 50
    longer = estimate(SMALL, {"train.epochs": 40}, home=home)
    assert longer.seconds > again.seconds
    assert estimate(SMALL, {"train.batch_size": 4}, home=home, probe_s=0) is None
    assert SMALL["train"]["epochs"] == 2  # a mapping that was given stays as it is


def test_a_dry_run_says_it_in_text_and_as_json(trained, home, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("STUDIO_HOME", str(home.root))
    file = tmp_path / "small.yaml"
    file.write_text(recipes.to_yaml(recipes.parse(SMALL)))
    assert main(["run", str(file), "--dry-run", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out.splitlines()[-1])["cost"]["runs"] == 1
    assert "it takes about" in err and "1 run of this kind" in err


@pytest.mark.parametrize("preset", sorted(recipes.presets()))
def test_what_a_probe_works_on_is_a_recipe_that_its_method_takes(preset):
    recipe = recipes.load(preset)
    short = recipes.parse(_shortened(recipe).model_dump(exclude_defaults=True))
    trains = recipe.method_class().train_keys
    assert short.train.max_steps == (8 if trains is None or "max_steps" in trains else None)


def test_what_goes_on_from_a_checkpoint_of_its_own_finds_it_in_a_probe_and_the_home_has_none(trained, home, tmp_path):
    store, known = ThrowawayStore(home, Home.find(tmp_path)), trained[0].checkpoint
    made = store.put(store.checkpoint(known).manifest.model_copy(update={"id": ""}), {"weight": np.ones(2)})
    assert store.checkpoint(made.manifest.id).manifest.lineage == store.checkpoint(known).manifest.lineage
    with pytest.raises(UsageError):
        Store(home).checkpoint(made.manifest.id)


@pytest.mark.slow
def test_a_probe_tells_what_no_run_has_told_and_leaves_nothing(home):
    before = {path for path in home.root.rglob("*") if home.features not in path.parents and home.locks != path.parent}
    recipe = {**SMALL, "train": {**SMALL["train"], "epochs": 500}}
    told = estimate(recipe, {"train.lr": 0.0007}, home=home, probe_s=30)
    assert told.source == "probe" and told.seconds > 10 and told.memory_mb > 50
    after = {path for path in home.root.rglob("*") if home.features not in path.parents and home.locks != path.parent}
    assert before == after and Store(home).checkpoints() == [row for row in Store(home).checkpoints() if row["run"]]
    with pytest.raises(StudioError, match="nowhere"):
        estimate(recipe, {"data.train": f"folder:{home.root}/nowhere"}, home=home)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.44, "0.4 s"), (8.2, "8 s"), (61, "1 min"), (130, "2 min 10 s"), (1800, "30 min"), (7800, "2 h 10 min")],
)
def test_seconds_are_said_as_a_person_says_them(seconds, words):
    assert cost.duration(seconds) == words
