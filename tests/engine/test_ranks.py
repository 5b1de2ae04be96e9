"""Two processes that share each batch compute what one does; one that dies fails the run."""

import os
import signal
import sys
import threading
import time

import psutil
import pytest

from studio.core import recipe as recipes
from studio.core.errors import UsageError
from studio.runs.executors import run_inline
from studio.runs.runner import submit, wants_ranks
from studio.store import Store

RECIPE = {
    "method": "finetune/full",
    "model": {"backbone": "timm/vit_tiny_patch16_224?random&img_size=16&patch_size=4&embed_dim=32&depth=2&num_heads=2"},
    "data": {"train": "builtin:digits?per_class=20"},
    "train": {"epochs": 2, "batch_size": 21, "workers": 1, "lr": 0.003, "precision": "fp32", "ema": 0.9},
    "device": "cpu",
}


def filed(home, **train):
    return submit(recipes.parse({**RECIPE, "train": {**RECIPE["train"], **train}}), Store(home))


def losses(run):
    rows = [e for e in run.events() if e["kind"] == "scalar" and e["name"] == "train/loss"]
    return [row["value"] for row in rows], [row["step"] for row in rows]


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one_and_one_of_them_writes(home):
    alone, shared = filed(home), filed(home, processes=2)
    assert run_inline(alone, home).status == "finished"
    result = run_inline(shared, home)
    assert result.status == "finished", result.error
    (one, _), (two, steps) = losses(alone), losses(shared)
    assert steps == sorted(set(steps)) and len(two) == len(one) > 10
    assert two == pytest.approx(one, rel=2e-3)
    assert two[:5] == pytest.approx(one[:5], rel=1e-5)
    assert result.metrics["accuracy"] == pytest.approx(alone.metrics()["accuracy"], abs=0.06)
    statuses = [event["status"] for event in shared.events() if event["kind"] == "status"]
    assert statuses.count("finished") == 1
    assert len(Store(home).checkpoints()) == 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize("victim", [0, 1])
def test_a_rank_that_is_killed_fails_the_run(home, victim):
    run = filed(home, processes=2, epochs=100_000)
    results = []
    worker = threading.Thread(target=lambda: results.append(run_inline(run, home)))
    worker.start()
    end = time.monotonic() + 120
    while not losses(run)[0]:
        assert time.monotonic() < end and worker.is_alive()
        time.sleep(0.2)
    ranks = [p for p in psutil.Process().children(recursive=True) if p.environ().get("RANK") == str(victim)]
    assert ranks
    os.kill(ranks[0].pid, signal.SIGKILL)
    worker.join(90)
    assert not worker.is_alive() and results[0].status == "failed" and results[0].exit_code == 1
    assert run.status() == "failed" and not run.is_alive()


@pytest.mark.slow
def test_a_shared_run_stops_politely_and_resumes(home):
    run = filed(home, processes=2, epochs=30)
    stopped = run_inline(run, home, should_stop=lambda: len(losses(run)[0]) >= 3)
    assert stopped.status == "stopped" and stopped.exit_code == 3
    done = len(losses(run)[0])
    assert run_inline(run, home, resume=True).status == "finished"
    assert losses(run)[1][done] == done


def test_processes_are_refused_where_they_cannot_help():
    with pytest.raises(UsageError, match="runs in one process"):
        wants_ranks(recipes.parse({"method": "finetune/linear-probe", "train": {"processes": 2}}))
    with pytest.raises(UsageError, match="can't share a batch of 2"):
        wants_ranks(recipes.parse({**RECIPE, "train": {"processes": 4, "batch_size": 2}}))
