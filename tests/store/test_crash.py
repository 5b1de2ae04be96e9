"""A writer killed at any moment leaves the old state or the new one, never half of one."""

import os
import random
import subprocess
import sys
from pathlib import Path

import torch

from studio.core.events import FINAL
from studio.store import Store
from studio.store.state import load_state

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("STUDIO_TEST_KILLS", 40 if hasattr(os, "fork") else 4))


class Nursery:
    """Brings up writers and kills them; where there is no fork, each is started anew."""

    def __init__(self, home):
        self.argv = [sys.executable, str(Path(__file__).with_name("writer.py")), str(home.root)]
        self.env = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = self._start() if hasattr(os, "fork") else None
        if self.process:
            assert self.process.stdout.readline().strip() == b"ready"

    def _start(self, *more):
        return subprocess.Popen([*self.argv, *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self.env)

    def kill_one_before(self, step, seed):
        """A writer that begins, and dies right before its `step`-th call that changes the disk."""
        if self.process is None:
            self._start(str(seed), str(step)).communicate()
            return
        self.process.stdin.write(f"{seed} {step}\n".encode())
        self.process.stdin.flush()
        assert self.process.stdout.readline().strip() == b"dead"

    def close(self):
        if self.process:
            self.process.communicate()


def test_a_writer_killed_at_any_step_never_leaves_half_a_thing(home):
    store, draw, nursery = Store(home), random.Random(0), Nursery(home)
    died = saved = 0
    try:
        for kill in range(KILLS):
            nursery.kill_one_before(kill if kill < KILLS // 2 else draw.randrange(150), seed=kill)
            unfinished = [
                run_id for run_id in store._run_ids() if store.run(run_id)._last("status").get("status") not in FINAL
            ]
            assert store.verify() == [], f"after kill {kill}"
            rows = store.runs()
            assert {row["status"] for row in rows} <= {"queued", "failed", "finished"}
            died += sum(row["status"] == "failed" for row in rows if row["run"] in unfinished)
            for run_id in unfinished:
                state = load_state(
                    store.run(run_id).state_path, on_damage=lambda text: (_ for _ in ()).throw(AssertionError(text))
                )
                assert state is None or state["weights"].equal(torch.full((5000,), float(state["step"])))
                saved += state is not None
            known = {row["checkpoint"] for row in store.checkpoints()}
            assert set(store.tags().values()) <= known and all(row["problem"] is None for row in store.checkpoints())
            if kill % 5 == 0:
                home.index.unlink(missing_ok=True)
    finally:
        nursery.close()
    assert died and saved  # the steps lie in the middle of runs and of saved states
    store.gc()
    assert store.verify() == [] and len({*home.blobs.iterdir()}) == len(
        {blob for row in store.checkpoints() for blob in store.checkpoint(row["checkpoint"]).manifest.blobs()}
    )
    for row in store.checkpoints():
        assert store.checkpoint(row["checkpoint"]).tensors()["backbone.w"].equal(torch.arange(20_000.0))
