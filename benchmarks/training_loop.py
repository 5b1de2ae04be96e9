"""The training loop beside a bare PyTorch loop: the same model, batches, optimizer and steps, in turn.

    python benchmarks/training_loop.py [--backbone NAME] [--size 224] [--batch 16] [--steps 6] [--rounds 5]

Prints the ratio loop / bare, round by round and as a median; batches are in memory already, so what is
measured is what the loop costs. The promise: at most 1.05, and for a ViT whose step takes 50 ms or more
(`--backbone vit_tiny_patch16_224 --size 96 --batch 8 --steps 20`) at most 1.03.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import timm
import torch
from torch.nn import functional

from studio.core.events import EventWriter
from studio.core.faces import Learner
from studio.core.home import Home
from studio.core.procedure import Job
from studio.core.recipe import Recipe
from studio.core.streams import Batch
from studio.device.manager import DeviceManager
from studio.engine.loop import Loop


class Bench(Learner):
    """Cross-entropy on a timm model."""

    def losses(self, batch, at):
        return {"loss": functional.cross_entropy(self.module(batch.images), batch.labels)}


class Ready:
    """Batches that are in memory already."""

    def __init__(self, batches):
        self.batches, self.steps_per_epoch = batches, len(batches)

    def batch(self, step):
        return self.batches[step]


def model_of(args):
    torch.manual_seed(0)
    size = {"img_size": args.size} if "patch" in args.backbone else {}  # transformers are built for one size
    return timm.create_model(args.backbone, num_classes=10, **size).to(memory_format=torch.channels_last)


def bare(args, batches):
    model = model_of(args).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    begun = time.perf_counter()
    for batch in batches:
        loss = functional.cross_entropy(model(batch.images), batch.labels)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return time.perf_counter() - begun


def ours(args, batches, home, folder):
    learner = Bench()
    learner.module = model_of(args)
    return seconds_of(learner, Recipe(train={"epochs": 1, "batch_size": args.batch}), batches, home, folder)


def seconds_of(learner, recipe, batches, home, folder, clock=time.perf_counter):
    """Seconds of the training loop on batches that are in memory already."""
    recipe.train.checkpoint_every_s = 1e9
    with EventWriter(folder / "events.jsonl") as events:
        job = Job(recipe, learner, home, None, events, folder, "bench", "cpu", DeviceManager(home).precision("cpu"))
        loop = Loop(learner, Ready(batches), recipe.train, job, lambda: {"score": 0.0})
        loop.progress.best_score = 1.0  # weights are not copied: the bare loop keeps none either
        begun = clock()
        loop.run()
        return clock() - begun


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    draw = torch.Generator().manual_seed(0)
    batches = [
        Batch(
            images=torch.randn(args.batch, 3, args.size, args.size, generator=draw).to(
                memory_format=torch.channels_last
            ),
            labels=torch.randint(10, (args.batch,), generator=draw),
        )
        for _ in range(args.steps)
    ]
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        home = Home.find(Path(folder) / "home")
        bare(args, batches[:2])
        for number in range(args.rounds):
            first, second = (bare(args, batches), ours(args, batches, home, Path(folder)))
            ratios.append(second / first)
            print(f"round {number}: bare {first:.2f} s, loop {second:.2f} s, ratio {ratios[-1]:.3f}", flush=True)
    what = f"{args.backbone} {args.size}px batch {args.batch}"
    print(f"{what}: loop / bare = {statistics.median(ratios):.3f} (median of {args.rounds})")


if __name__ == "__main__":
    main()
