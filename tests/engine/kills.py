"""Kills a training worker at random moments and resumes it, until it ends; what the kill tests stand on."""

import multiprocessing
import os
import random
import signal
import sys
import time

from studio.core import recipe as recipes
from studio.core.home import Home
from studio.runs.runner import submit
from studio.store import RunFolder, Store

# workers are forked from a server that has imported everything, so that a kill costs a second, not ten
_METHOD = "forkserver" if sys.platform != "win32" else "spawn"

RECIPE = {
    "method": "finetune/full",
    "model": {"backbone": "studio/conv4", "image_size": 16},
    "data": {"train": "builtin:digits?per_class=20"},
    "train": {"epochs": 4, "batch_size": 16, "checkpoint_every_s": 0, "workers": 1, "lr": 0.01},
}


def context():
    found = multiprocessing.get_context(_METHOD)
    if _METHOD == "forkserver":
        found.set_forkserver_preload(["studio.runs.executors", "adapters.finetune.procedure", "adapters.finetune.full"])
    return found


def work(root: str, run_id: str, resume: bool) -> None:
    """The worker's body, in a process of its own."""
    import torch

    from studio.runs.executors import run_inline

    torch.set_num_threads(1)
    home = Home.find(root)
    result = run_inline(Store(home).run(run_id), home, resume=resume)
    sys.exit(result.exit_code)


def new_run(home: Home, **train) -> RunFolder:
    values = {**RECIPE, "train": {**RECIPE["train"], **train}}
    return submit(recipes.parse(values), Store(home))


def run_to_end(processes, home: Home, run: RunFolder, resume: bool = False) -> int:
    worker = processes.Process(target=work, args=(str(home.root), run.id, resume))
    worker.start()
    worker.join(120)
    return worker.exitcode


def kill_once(processes, home: Home, run: RunFolder, resume: bool, draw: random.Random, longest_s: float) -> bool:
    """Starts a worker and kills it at a random moment; True where it was killed before it ended."""
    worker = processes.Process(target=work, args=(str(home.root), run.id, resume))
    worker.start()
    time.sleep(draw.uniform(0.0, longest_s))
    alive = worker.is_alive()
    if alive:
        os.kill(worker.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    worker.join(60)
    return alive


def losses(run: RunFolder) -> dict[int, float]:
    """Training loss by step; of a step done again after a resume, the last."""
    return {
        event["step"]: event["value"]
        for event in run.events()
        if event["kind"] == "scalar" and event["name"] == "train/loss"
    }
