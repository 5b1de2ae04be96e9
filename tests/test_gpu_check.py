"""The check of an accelerator passes on a processor at small sizes, so that it can't rot."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]


def checked(*arguments: str) -> dict:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "benchmarks/gpu_check.py", *arguments]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
    return json.loads(ended.stdout.splitlines()[-1])


@pytest.mark.slow
def test_every_check_runs_on_a_processor():
    rows = {row["check"]: row for row in checked("--device", "cpu", "--small")["rows"]}
    assert len(rows) == 8 and all(row["value"] >= 0 for row in rows.values())
    assert sum(row["kept"] is True for row in rows.values()) == 2, (
        "the gradient, and the leases that can't fit together"
    )


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is here")
def test_every_promise_is_kept_on_a_gpu():
    assert checked("--device", "cuda")["rows"]
