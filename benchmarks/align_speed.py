"""DANN, DAN and CDAN in the training loop beside a bare loop over two loaders: images a second of the same network.

    python benchmarks/align_speed.py [--backbone studio/lenet?image_size=32] [--batch 32] [--steps 20] [--rounds 5]
        [--statistics own]

The bare loop is what a script would have: two iterators, both batches through backbone, bottleneck and head (in one,
where --statistics is mixed), the same loss, AdamW and clipping. Batches are in memory, both compute in float32, rounds
alternate and are measured in processor time, so that other work on the machine disturbs little; both keep freed memory,
as every run of the studio does. Prints bare seconds over loop seconds: 1 is as fast, and 0.95 the promise.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from adapters.align.deep.base import View
from studio.core import registry
from studio.core.events import EventWriter
from studio.core.faces import LearnerContext
from studio.core.home import Home
from studio.core.procedure import Job
from studio.core.recipe import Recipe
from studio.core.streams import Batch, Step, StreamBatches
from studio.device.allocator import keep_freed_memory
from studio.engine.loop import Loop

CLASSES = [f"class {number}" for number in range(31)]


class Ready:
    """Batches that are in memory already."""

    def __init__(self, batches: list[StreamBatches]) -> None:
        self.batches, self.steps_per_epoch = batches, len(batches)

    def batch(self, step: int) -> StreamBatches:
        return self.batches[step]


def learner_of(method: str, args: argparse.Namespace) -> Any:
    cls = registry.get(f"align/{method}")
    learner = cls(cls.Params(backbone_lr=1.0, statistics=args.statistics))
    learner.setup(LearnerContext(registry.backbone(args.backbone), CLASSES))
    return learner


def one_pass(network: Any, source: Batch, target: Batch) -> list[View]:
    features = network.bottleneck(network.backbone(torch.cat([source.images, target.images])))
    parts = zip(features.split(len(source)), network.head(features).split(len(source)), strict=True)
    return [View(domain, *part) for domain, part in zip((source, target), parts, strict=True)]


def two_passes(network: Any, source: Batch, target: Batch) -> list[View]:
    views = []
    for domain in (source, target):
        features = network.bottleneck(network.backbone(domain.images))
        views.append(View(domain, features, network.head(features)))
    return views


def bare(method: str, args: argparse.Namespace, batches: list[StreamBatches]) -> float:
    """Seconds of a loop written out; discriminator and kernels are the method's own, as a script would import them."""
    learner = learner_of(method, args)
    network = learner.module.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    sources, targets = (iter([getattr(batch, name) for batch in batches]) for name in ("source", "target"))
    begun = time.process_time()
    for step in range(len(batches)):
        source, target = next(sources), next(targets)
        views = two_passes(network, source, target) if args.statistics == "own" else one_pass(network, source, target)
        losses = learner.align(*views, Step(step, len(batches)))
        losses = losses[0] if isinstance(losses, tuple) else losses
        loss = cross_entropy(views[0].logits, source.labels) + sum(losses.values())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    return time.process_time() - begun


def looped(method: str, args: argparse.Namespace, batches: list[StreamBatches], home: Home, folder: Path) -> float:
    learner = learner_of(method, args)
    recipe = Recipe(train={"epochs": 1, "batch_size": args.batch, "checkpoint_every_s": 1e9})
    with EventWriter(folder / "events.jsonl") as events:
        job = Job(recipe, learner, home, None, events, folder, "speed", "cpu", "fp32")
        loop = Loop(learner, Ready(batches), recipe.train, job, lambda: {"score": 0.0})
        loop.progress.best_score = 1.0  # weights are not copied: the bare loop keeps none either
        begun = time.process_time()
        loop.run()
        return time.process_time() - begun


def in_turn(one: Callable[[], float], other: Callable[[], float], swapped: bool) -> tuple[float, float]:
    """What both return; `swapped`: the other goes first, as whoever does may have the warmer caches."""
    if swapped:
        second = other()
        return one(), second
    return one(), other()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="studio/lenet?image_size=32")
    parser.add_argument("--methods", nargs="+", default=["dann", "dan", "cdan"])
    parser.add_argument("--statistics", choices=("own", "mixed"), default="own", help="of batch normalisation")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    size, draw = registry.backbone(args.backbone).image_size, torch.Generator().manual_seed(0)

    def batch(**more: Any) -> Batch:
        return Batch(images=torch.randn(args.batch, 3, size, size, generator=draw), **more)

    def labels() -> torch.Tensor:
        return torch.randint(len(CLASSES), (args.batch,), generator=draw)

    batches = [StreamBatches(source=batch(labels=labels()), target=batch()) for _ in range(args.steps)]
    with tempfile.TemporaryDirectory() as folder:
        home = Home.find(Path(folder) / "home")
        for method in args.methods:
            bare(method, args, batches[:3])
            looped(method, args, batches[:3], home, Path(folder))
            ratios, speeds = [], []
            for number in range(args.rounds):
                sides = partial(bare, method, args, batches), partial(looped, method, args, batches, home, Path(folder))
                plain, own = in_turn(*sides, swapped=number % 2 == 1)
                ratios.append(plain / own)
                speeds.append(2 * args.batch * args.steps / own)
            speed, ratio = statistics.median(speeds), statistics.median(ratios)
            shown = ", ".join(f"{one:.3f}" for one in ratios)
            print(f"{method}: {speed:.0f} images/s, loop / bare {ratio:.3f} ({shown})", flush=True)


if __name__ == "__main__":
    main()
