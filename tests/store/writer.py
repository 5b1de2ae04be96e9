"""A process that writes to a store and dies at a step of it: `python writer.py HOME [SEED STEP]`.

A step is a call by which anything reaches the disk (sync, rename, removal); the writer kills itself right before
the one that is asked for, as a power cut would. Where there is fork it stays behind as a nursery, so that a kill
does not cost an import of torch: each line `SEED STEP` on its stdin gives birth to one writer.
"""

import os
import random
import signal
import sys

import torch

from studio.core.events import EventWriter
from studio.core.home import Home
from studio.core.recipe import Recipe
from studio.store import Manifest, Store
from studio.store.state import save_state

BACKBONE = torch.arange(20_000.0)


def die_before(step: int) -> None:
    """Has this process killed, with no chance to tidy up, right before its `step`-th call that changes the disk."""
    left = iter(range(step))

    def counted(call):
        def wrapped(*args, **options):
            if next(left, None) is None:
                os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
            return call(*args, **options)

        return wrapped

    for name in ("fsync", "replace", "rename", "unlink", "rmdir"):
        setattr(os, name, counted(getattr(os, name)))


def write_forever(home: Home, seed: int, step: int) -> None:
    """Files runs, saves states, puts, tags, deletes and collects, in an order drawn by `seed`."""
    draw, store = random.Random(seed), Store(home)
    die_before(step)
    torch.manual_seed(seed)
    while True:
        run = store.new_run(Recipe(method="finetune/full"))
        with run.hold(), EventWriter(run.events_path) as events:
            events.status("running")
            for step in range(1, 4):
                save_state(run.state_path, {"step": step, "weights": torch.full((5000,), float(step))})
                events.scalar("loss", 1 / step, step)
            manifest = Manifest(face="Learner", task="classify", method="finetune/full", lineage={"run": run.id})
            checkpoint = store.put(manifest, {"backbone.w": BACKBONE, "head.w": torch.randn(100)}, {"a.txt": b"a"})
            events.emit("checkpoint", checkpoint=checkpoint.id, role="final")
            store.tag(checkpoint.id, draw.choice(["best", "latest"]))
            store.runs(), store.checkpoints()
            if draw.random() < 0.5:
                store.delete(checkpoint.id)
            if draw.random() < 0.5:
                store.gc()
            events.status("finished")


def main() -> None:
    home = Home.find(sys.argv[1])
    torch.set_num_threads(1)
    if len(sys.argv) > 2:
        write_forever(home, *map(int, sys.argv[2:]))
    print("ready", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            write_forever(home, *map(int, line.split()))
        os.waitpid(child, 0)
        print("dead", flush=True)


main()
