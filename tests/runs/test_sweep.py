"""Sweeps: a space is checked before anything runs, nothing chooses by test images, and a killed sweep goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from studio.core import recipe as recipes
from studio.core.errors import StoppedByUser, UsageError
from studio.core.home import Home
from studio.runs.sweep.score import score_of
from studio.runs.sweep.space import Over, Space, read_over

pytest.importorskip("optuna")
from studio.runs.sweep import background
from studio.runs.sweep.study import Study
from studio.store import RunFolder, Store

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def home(tmp_path):
    return Home.find(tmp_path / "home")


def test_ranges_and_choices_are_read():
    assert read_over("train.lr=log:1e-4..1e-2") == Over("train.lr", 1e-4, 1e-2, log=True)
    assert read_over("params.rank=4..16") == Over("params.rank", 4, 16)
    assert read_over("params.rank=4,8,16") == Over("params.rank", choices=(4, 8, 16))
    assert read_over("train.optimizer=sgd,adamw").choices == ("sgd", "adamw")


@pytest.mark.parametrize(
    "text", ["train.lr", "train.lr=", "train.lr=1..a", "train.lr=2..1", "train.lr=log:0..1", "train.lr=3", "a=log:1,2"]
)
def test_what_is_no_range_is_refused_with_the_form(text):
    with pytest.raises(UsageError, match="--over"):
        read_over(text)


@pytest.mark.parametrize(
    ("over", "word"),
    [
        ("train.lrr=log:1e-4..1e-2", "lr"),
        ("params.rnk=4,8", "rank"),
        ("train.lr=0.1..99", "train.lr"),
        ("params.rank=4,much,8", "rank"),
    ],
)
def test_keys_and_values_that_a_recipe_has_not_are_refused_before_anything_runs(home, over, word):
    space = Space("vit-lora", (), (read_over(over), read_over("train.weight_decay=0..0.1")))
    with pytest.raises(UsageError, match=word):
        Study(space, home)
    assert not Store(home).runs() and not (home.root / "sweeps").exists()


def run_of(scores, metrics, recipe="linear-probe"):
    events = [{"kind": "scalar", "name": "val/score", "value": score} for score in scores]
    return SimpleNamespace(
        id="run-1", events=lambda: events, metrics=lambda: metrics, recipe=lambda: recipes.load(recipe)
    )


def test_a_run_is_told_apart_by_validation_and_never_by_test_images():
    assert score_of(run_of([0.5, 0.8, 0.7], {"accuracy": 0.99, "scored_on": "test"})) == 0.8
    assert score_of(run_of([], {"accuracy": 0.9, "scored_on": "val"})) == 0.9
    for words in ("test", "episodes: support from train, query from test", 120):
        tested = run_of([], {"accuracy": 0.9, "scored_on": words})
        with pytest.raises(UsageError, match="oracle:accuracy"):
            score_of(tested)
    assert score_of(tested, "oracle:accuracy") == 0.9
    with pytest.raises(UsageError, match="no number 'acuracy'; it has accuracy"):
        score_of(tested, "acuracy")


def test_what_a_sweep_found_is_drawn(tmp_path):
    import optuna

    study = optuna.create_study(direction="maximize")
    space = Space("vit-lora", (), (read_over("train.lr=log:1e-4..1e-2"), read_over("params.rank=4,8")))
    for number in range(6):
        study.tell(study.ask(space.distributions()), number / 6)
    drawn = Study.draw(SimpleNamespace(study=study, folder=tmp_path))
    assert [path.name for path in drawn] == ["parallel.png", "importance.png"] and all(map(Path.is_file, drawn))


def space_of(*overs):
    return Space("vit-lora", (), tuple(map(read_over, overs)))


def test_a_sweep_of_the_page_is_the_one_that_its_command_line_finds_again(home, monkeypatch):
    spawned = []
    monkeypatch.setattr(background, "spawn", lambda module, words, *rest: spawned.append((module, words)))
    values = recipes.load("vit-lora", home=home).model_dump()
    name = background.start(values, ["train.lr=log:1e-4..1e-2", ""], 3, home)
    ((module, (command, file, *words)),) = spawned
    assert (module, command, words) == ("studio.cli", "sweep", ["--over", "train.lr=log:1e-4..1e-2", "--trials", "3"])
    same = Study(Space(file, (), (read_over(words[1]),)), home)
    assert same.name == name
    with same.hold(), pytest.raises(UsageError, match="being worked on already"):
        background.start(values, [words[1]], 3, home)
    for overs, word in (([], "name a key"), (["train.lrr=1,2"], "train.lr")):
        with pytest.raises(UsageError, match=word):
            background.start(values, overs, 3, home)
    assert len(spawned) == 1 and not Store(home).runs()


def test_a_sweep_that_is_asked_to_stop_stops_its_runs_and_says_how_far_it_came(home, monkeypatch):
    stopped = []
    monkeypatch.setattr("studio.runs.sweep.sweep.POLL_S", 0)
    sweep = Study(space_of("train.lr=log:1e-4..1e-2"), home, 2)
    monkeypatch.setattr(sweep, "_start", lambda: sweep._at_work.setdefault(0, "run"))
    monkeypatch.setattr(sweep, "_look", lambda number, say: None)
    monkeypatch.setattr("studio.runs.sweep.sweep.queue.stop", lambda run, home: stopped.append(run))
    with pytest.raises(StoppedByUser, match="the same command goes on"):
        sweep.work(1, on_change=lambda state: background.stop(sweep.name, home) if background.listed(home) else None)
    assert stopped == ["run"]
    (seen,) = background.listed(home)
    assert (seen.name, seen.done, seen.total, seen.at_work) == (sweep.name, 0, 2, 1)


TINY = ("model.backbone=studio/conv4", "model.image_size=16", "data.train=builtin:digits?per_class=6", "train.epochs=1",
        "method=finetune/full", "train.batch_size=16")  # fmt: skip


@pytest.mark.slow
def test_a_killed_sweep_goes_on_and_makes_no_run_twice(home):
    sets = [word for value in TINY for word in ("--set", value)]
    over = ["--over", "train.lr=log:1e-4..1e-2"]
    command = [sys.executable, "-m", "studio.cli", "sweep", "small-data-cnn", *over, *sets, "--trials", "2", "--json"]
    environment = {**os.environ, "STUDIO_HOME": str(home.root), "STUDIO_MAX_PROCESSES": "2"}
    first = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    until(lambda: any(RunFolder(path).is_alive() for path in home.runs.iterdir()), first)
    first.send_signal(signal.SIGKILL)
    first.wait()
    second = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert second.returncode == 0, second.stderr[-2000:]
    swept = json.loads(second.stdout.splitlines()[-1])
    assert [row["status"] for row in swept["trials"]] == ["complete"] * 2
    assert sorted(row["run"] for row in swept["trials"]) == sorted(row["run"] for row in Store(home).runs())
    assert swept["best"]["score"] == max(row["score"] for row in swept["trials"])
    assert not Store(home).verify()


def until(true, process) -> None:
    while not true():
        assert process.poll() is None, "it has ended"
        time.sleep(0.05)
