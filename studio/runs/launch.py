"""Runs in several processes: `accelerate launch` starts the ranks, this process waits and passes stops on.

Several machines: write a config with `accelerate config` and name it in ACCELERATE_CONFIG_FILE; the same
command is then given on each machine, with one home folder that all can reach.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from studio.core.home import Home
from studio.core.recipe import Recipe
from studio.runs.runner import Result, answered_stop
from studio.store import RunFolder


def launch(run: RunFolder, home: Home, resume: bool, should_stop: Callable[[], bool]) -> Result:
    """Works on the run in ranks and returns when they have ended; their output goes to the run's log."""
    argv = [sys.executable, "-m", "accelerate.commands.launch", *_options(run.recipe())]
    argv += ["-m", "studio.runs.worker", run.id] + (["--resume"] if resume else [])
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    env = {**os.environ, "STUDIO_HOME": str(home.root), "PYTHONUNBUFFERED": "1", "PYTHONPATH": path}
    env.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // run.recipe().train.processes)))
    before = len(run.events())
    with open(run.log_path, "ab") as log:
        ranks = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=os.name == "posix"
        )
    with answered_stop(run):  # the ranks may end between a look at them and a request
        try:
            while ranks.poll() is None:
                if should_stop():
                    run.request_stop()
                time.sleep(0.1)
        finally:
            _end(ranks)
    return result_of(run, before)


def _options(recipe: Recipe) -> list[str]:
    if config := os.environ.get("ACCELERATE_CONFIG_FILE"):
        return ["--config_file", config]
    return [
        "--multi_gpu", "--num_processes", str(recipe.train.processes), "--num_machines", "1",
        "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0",
    ]  # fmt: skip


def _end(ranks: subprocess.Popen[bytes]) -> None:
    """Ends what is left of the ranks, where this process is broken off."""
    if ranks.poll() is None:
        with suppress(ProcessLookupError, PermissionError):
            if os.name == "posix":
                os.killpg(ranks.pid, signal.SIGTERM)
            else:
                ranks.terminate()
        ranks.wait()


def result_of(run: RunFolder, before: int) -> Result:
    """What the first rank wrote into the events."""
    status = run.status()
    if status not in ("finished", "failed", "stopped"):  # it never began
        run.mark_dead()
        status = "failed"
    last = {event["kind"]: event for event in run.events()[before:]}
    ended = last.get("status", {})
    error = last.get("error", {}).get("message") if status != "finished" else None
    codes = {"finished": 0, "stopped": 3}
    return Result(
        run=run.id,
        status=status,
        metrics=run.metrics() if status == "finished" else {},
        checkpoint=run.checkpoint() if status == "finished" else None,
        seconds=ended.get("seconds") or 0.0,
        device=ended.get("device"),
        error=error,
        exit_code=codes.get(status, ended.get("exit_code") or 1),
    )
