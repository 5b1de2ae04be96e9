"""One path from recipe to checkpoint: inline, in a worker, stopped, resumed, failed."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from adapters.finetune.full import Full
from studio.api import run
from studio.core import recipe as recipes
from studio.core.errors import StudioError, UsageError
from studio.runs.executors import run_inline, start_worker
from studio.runs.predict import load_checkpoint
from studio.runs.runner import submit
from studio.store import Store

QUICK = {
    "model": {"backbone": "studio/conv4", "image_size": 16},
    "data": {"train": "builtin:digits?per_class=20"},
    "train": {"epochs": 2, "batch_size": 16, "workers": 1, "lr": 0.01},
    "eval": {"ways": 5, "shots": 2, "queries": 5, "episodes": 20},
}
METHODS = ("fewshot/prototypes", "finetune/linear-probe", "finetune/full", "finetune/lp-ft", "finetune/bitfit")


@pytest.mark.parametrize("method", METHODS)
def test_every_first_method_makes_a_checkpoint_that_predicts_after_a_restart(home, method):
    result = run({**QUICK, "method": method}, home=home)
    assert result.status == "finished" and 0 <= result.metrics["accuracy"] <= 1
    model = load_checkpoint(result.checkpoint, home)
    digit = Image.fromarray((np.arange(64).reshape(8, 8) * 4).astype(np.uint8))
    rows = model.predict([digit, digit.convert("RGBA")], topk=3)
    assert [len(row["topk"]) for row in rows] == [3, 3]
    assert rows[0]["label"] == rows[0]["topk"][0]["label"] and rows[0]["label"] in model.classes
    again = load_checkpoint(result.run, home).predict([digit, digit], topk=3)
    assert again[0]["topk"] == rows[0]["topk"]


@pytest.mark.parametrize("method", ("finetune/full", "finetune/linear-probe", "fewshot/prototypes"))
def test_the_same_recipe_gives_the_same_numbers(home, method):
    first, second = (run({**QUICK, "method": method}, home=home).metrics for _ in range(2))
    assert first["accuracy"] == second["accuracy"] and first["ece"] == second["ece"]


@pytest.mark.usefixtures("asked_at_every_step")
def test_a_stopped_run_saves_and_resumes_to_the_same_losses(home):
    recipe = recipes.parse({**QUICK, "method": "finetune/full", "train": {**QUICK["train"], "epochs": 20}})
    store = Store(home)
    whole, broken = submit(recipe, store), submit(recipe, store)
    run_inline(whole, home)
    stopped = run_inline(broken, home, should_stop=lambda: len(_losses(broken)) >= 3)
    assert (stopped.status, stopped.exit_code) == ("stopped", 3) and broken.status() == "stopped"
    assert run_inline(broken, home, resume=True).status == "finished"
    assert _losses(broken) == _losses(whole)
    assert broken.metrics()["accuracy"] == whole.metrics()["accuracy"]


def _losses(run_folder):
    return {e["step"]: e["value"] for e in run_folder.events() if e["kind"] == "scalar" and e["name"] == "train/loss"}


def test_a_worker_is_a_process_of_its_own_and_stops_politely(home):
    recipe = recipes.parse({**QUICK, "method": "finetune/full", "train": {**QUICK["train"], "epochs": 100_000}})
    run_folder = submit(recipe, Store(home))
    worker = start_worker(run_folder, home)
    _until(lambda: any(event["kind"] == "scalar" for event in run_folder.events()), worker)
    assert run_folder.status() == "running" and run_folder.is_alive()
    run_folder.request_stop()
    assert worker.wait(60) == 3
    assert run_folder.status() == "stopped" and not run_folder.is_alive()


def _until(condition, worker, seconds=90):
    end = time.monotonic() + seconds
    while not condition():
        assert worker.poll() is None, "the worker ended early"
        assert time.monotonic() < end, "timed out"
        time.sleep(0.1)


def test_a_killed_worker_marks_its_run_failed_with_the_tail_of_its_log(home):
    recipe = recipes.parse({**QUICK, "method": "finetune/full", "train": {**QUICK["train"], "epochs": 100_000}})
    run_folder = submit(recipe, Store(home))
    worker = start_worker(run_folder, home)
    _until(lambda: any(event["kind"] == "scalar" for event in run_folder.events()), worker)
    worker.kill()
    worker.wait(30)
    assert run_folder.status() == "failed"


def test_evaluating_only_gives_the_number_that_the_training_gave(home):
    trained = run({**QUICK, "method": "finetune/full"}, home=home)
    values = {**QUICK, "method": "finetune/full", "train": {**QUICK["train"], "epochs": 0}}
    again = run({**values, "model": {**QUICK["model"], "checkpoint": trained.checkpoint}}, home=home)
    assert again.metrics["accuracy"] == trained.metrics["accuracy"]


def test_a_loss_that_is_no_number_stops_the_run_keeps_the_last_good_epoch_and_advises(home, monkeypatch):
    calls, whole = iter(range(10_000)), Full.losses

    def breaking(self, batch, at):
        factor = float("nan") if next(calls) > 14 else 1.0
        return {name: loss * factor for name, loss in whole(self, batch, at).items()}

    monkeypatch.setattr(Full, "losses", breaking)
    with pytest.raises(StudioError, match=r"train\.lr"):
        run({**QUICK, "method": "finetune/full"}, home=home)
    row = Store(home).runs()[0]
    assert row["status"] == "failed"
    digit = Image.fromarray(np.zeros((8, 8), np.uint8))
    assert load_checkpoint(row["run"], home).predict([digit])[0]["label"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"data": {"train": "folder:/nowhere/at/all"}}, ["/nowhere/at/all"]),
        ({"data": {"train": None}}, ["data.train"]),
        ({"model": {"backbone": "studio/conv5"}}, ["conv4"]),
        ({"model": {"backbone": "pipp/x"}}, ["'pip'"]),
        ({"model": {"checkpoint": "nothing"}, "method": "finetune/full"}, ["nothing"]),
        ({"method": "finetune/full", "train": {"epochs": 0}}, ["model.checkpoint"]),
    ],
)
def test_a_recipe_that_cannot_work_fails_with_exit_code_2_and_a_sentence(home, values, words):
    with pytest.raises(UsageError) as refused:
        run({**QUICK, **values}, home=home)
    for word in words:
        assert word in str(refused.value)


def test_the_command_line_prints_one_json_object_last_and_progress_on_stderr(home, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(recipes.to_yaml(recipes.parse({**QUICK, "method": "finetune/linear-probe"})))
    done = _cli(home, "run", str(file), "--json")
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout.strip().splitlines()[-1])
    assert set(values) == {"run", "status", "metrics", "checkpoint", "seconds", "device", "error"}
    assert values["status"] == "finished"
    listed = json.loads(_cli(home, "runs", "--json").stdout)
    assert {"run", "status", "method", "created"} <= set(listed[0])


def test_the_command_line_refuses_with_code_2(home):
    assert _cli(home, "run", "quickstart", "--set", "train.epoch=3").returncode == 2
    assert _cli(home, "run", "no-such").returncode == 2
    assert _cli(home, "show", "no-such").returncode == 2


def _cli(home, *arguments):
    import os

    env = {**os.environ, "STUDIO_HOME": str(home.root)}
    argv = [sys.executable, "-m", "studio.cli", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, env=env, timeout=120)
