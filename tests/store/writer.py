"""A process that writes to a store without pause, for tests that kill it: `python writer.py HOME [SEED]`.

Where there is fork it stays behind as a nursery, so that a kill does not cost an import of torch: each
line on its stdin gives birth to one writer, and it prints that writer's process id.
"""

import os
import random
import sys

import torch

from studio.core.events import EventWriter
from studio.core.home import Home
from studio.core.recipe import Recipe
from studio.store import Manifest, Store
from studio.store.state import save_state

BACKBONE = torch.arange(20_000.0)


def write_forever(home: Home, seed: int) -> None:
    """Files runs, saves states, puts, tags, deletes and collects, in an order drawn by `seed`."""
    draw, store = random.Random(seed), Store(home)
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
        print(os.getpid(), flush=True)
        write_forever(home, int(sys.argv[2]))
    print("ready", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            write_forever(home, int(line))
        print(child, flush=True)
        os.waitpid(child, 0)
        print("dead", flush=True)


main()
