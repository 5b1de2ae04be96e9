"""Tables as sweeps: parts are smaller tables, the whole is made of what they left, and a killed one goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from studio.core import recipe as recipes
from studio.core.errors import UsageError
from studio.core.home import Home
from studio.runs.comparison import compare
from studio.runs.executors import run_inline
from studio.runs.runner import submit
from studio.runs.sweep import sweep
from studio.runs.sweep.space import Space, read_over
from studio.runs.sweep.table import parts_of, table_of
from studio.store import Store

ROOT = Path(__file__).resolve().parents[2]
GENERALIZE = {
    "task": "generalize", "method": "generalize/table",
    "params": {"domains": "a=folder:a; b=folder:b; c=folder:c", "seeds": 2},
}  # fmt: skip


@pytest.fixture
def home(tmp_path) -> Home:
    return Home.find(tmp_path / "home")


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory) -> Path:
    """A table of two shallow methods on features, both ways: a cell takes milliseconds."""
    folder, draw = tmp_path_factory.mktemp("features"), np.random.default_rng(0)
    labels = np.arange(24) % 3
    for name, shift in (("a", 0.0), ("b", 1.0)):
        np.savez(folder / f"{name}.npz", x=draw.normal(labels[:, None], 0.7, (24, 5)) + shift, y=labels)
    params = {"domains": "; ".join(f"{n}=npz:{folder}/{n}.npz?x=x&y=y" for n in "ab"), "methods": "coral"}
    path = folder / "small.yaml"
    path.write_text(json.dumps({"task": "align", "method": "align/table", "params": params, "device": "cpu"}))
    return path


@pytest.fixture
def inline(monkeypatch) -> None:
    """A run that is filed is worked on at once, in this process."""
    monkeypatch.setattr(sweep, "POLL_S", 0)
    monkeypatch.setattr(sweep, "enqueue", lambda run, home, resume, on: run_inline(run, home, resume=resume))


def cells(run) -> list[dict]:
    return [json.loads(line) for line in (run.path / "cells.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("recipe", "changes"),
    [
        ("align-table", [{"tasks": "bold-stix", "seeds": 1}, {"tasks": "stix-bold", "seeds": 1}]),
        (GENERALIZE, [{"unseen": name, "first_seed": seed} for name in "abc" for seed in (0, 1)]),
        (
            {"method": "finetune/compare", "params": {"regularizers": ["l2-sp"]}},
            [{"regularizers": ["none"]}, {"regularizers": ["l2-sp"], "beside_none": False}],
        ),
        (
            {"task": "detect", "method": "detect/compare", "params": {"methods": ["detect/fcos", "detect/retinanet"]}},
            [{"methods": ["detect/fcos"]}, {"methods": ["detect/retinanet"]}],
        ),
    ],
)
def test_a_table_is_made_of_smaller_ones_which_are_made_of_none(recipe, changes):
    whole = recipes.load(recipe) if isinstance(recipe, str) else recipes.parse(recipe)
    parts = list(parts_of(whole).values())
    assert [{key: part.params[key] for key in change} for part, change in zip(parts, changes, strict=True)] == changes
    assert not any(map(parts_of, parts)) and {part.method for part in parts} == {whole.method}


def test_comparisons_train_each_learner_in_one_part_alone():
    for recipe in ({"method": "finetune/compare"}, {"task": "detect", "method": "detect/compare"}):
        whole = recipes.parse(recipe)
        learners = [part.method_class()(part.method_params()).learners() for part in parts_of(whole).values()]
        names = list(whole.method_class()(whole.method_params()).learners())
        assert list(chain(*learners)) == names and len(names) > 3


@pytest.mark.usefixtures("inline")
def test_the_whole_takes_the_cells_of_its_parts_and_is_the_table_of_one_run(home, recipe_file):
    space = Space(str(recipe_file), ("params.seeds=2",), ())
    table, store, states = table_of(space, home), Store(home), []
    table.work(1, states.append)
    rows = table.rows()
    assert [row["part"] for row in rows] == ["a-b 0", "a-b 1", "b-a 0", "b-a 1", "whole"]
    assert {row["status"] for row in rows} == {"finished"} and [state.done for state in states] == [1, 2, 3, 4, 5]
    *parts, whole = (store.run(row["run"]) for row in rows)
    assert cells(whole) == list(chain(*map(cells, parts)))  # seconds too: none was computed again
    alone = submit(space.filled({}, home), store)
    assert run_inline(alone, home).metrics["averages"] == whole.metrics()["averages"]
    assert (alone.path / "table.csv").read_text() == (whole.path / "table.csv").read_text()
    table_of(space, home).work()
    assert len(store.runs()) == len(rows) + 1  # given again, nothing is done again


@pytest.mark.usefixtures("inline")
def test_what_a_part_could_not_do_the_whole_tries_again(home, recipe_file):
    def break_down(*_):
        raise UsageError("no room")

    broken, told = pytest.MonkeyPatch(), []
    broken.setattr("adapters.align.table.fill", break_down)
    table = table_of(Space(str(recipe_file), (), ()), home)
    table.work(1, say=lambda text: (told.append(text), len(told) == 2 and broken.undo()))
    assert [row["status"] for row in table.rows()] == ["failed", "failed", "finished"]


@pytest.mark.usefixtures("inline")
def test_every_combination_is_a_run_and_seeds_are_one_row(home, recipe_file):
    overs = ("params.methods=coral,sa", "params.first_seed=0,1")
    table = table_of(Space(str(recipe_file), (), tuple(map(read_over, overs))), home)
    table.work()
    assert [row["part"] for row in table.rows()] == [
        f"params.methods={method}, params.first_seed={seed}" for method in ("coral", "sa") for seed in (0, 1)
    ]
    assert len(compare(table.result_runs(), Store(home)).rows) == 4


@pytest.mark.parametrize(
    ("overs", "word"),
    [(("train.lr=log:1e-4..1e-2",), "train.lr is a range"), ((), "makes no table"), (("train.lrr=1,2",), "train.lr")],
)
def test_what_is_no_table_is_refused_before_anything_is_filed(home, overs, word):
    with pytest.raises(UsageError, match=word):
        table_of(Space("vit-lora", (), tuple(map(read_over, overs))), home)
    assert not Store(home).runs() and not (home.root / "sweeps").exists()


@pytest.mark.slow
def test_a_killed_table_goes_on_and_makes_no_part_twice(home, recipe_file):
    command = [sys.executable, "-m", "studio.cli", "sweep", str(recipe_file), "--json"]
    environment = {**os.environ, "STUDIO_HOME": str(home.root), "STUDIO_MAX_PROCESSES": "2"}
    first = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while not Store(home).runs():
        assert first.poll() is None, "it has ended"
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait()
    second = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert second.returncode == 0, second.stderr[-2000:]
    made = json.loads(second.stdout.splitlines()[-1])
    assert [(row["part"], row["status"]) for row in made["runs"]] == [
        ("a-b 0", "finished"), ("b-a 0", "finished"), ("whole", "finished"),
    ]  # fmt: skip
    assert made["metrics"]["cells"] == 6 and not Store(home).verify()
    finished = [row for row in Store(home).runs() if row["status"] == "finished"]
    assert sorted(row["run"] for row in finished) == sorted(row["run"] for row in made["runs"])
