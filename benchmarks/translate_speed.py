"""Images a second of CycleGAN's step in the one loop, beside a bare loop with two optimizers over the same networks.

    python benchmarks/translate_speed.py [--size 64] [--width 16] [--batch 2] [--steps 8] [--rounds 5]

The same batches, networks, pool of 50 images and losses; the bare loop is what one writes by hand: make, step the
generators, step the discriminators. Both take turns, for machines that are not quiet; the time is that of the process
(one thread), and the ratio the median over the rounds. Exits 1 below 0.97.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import l1_loss, mse_loss

from adapters.translate.cyclegan import CycleGan
from adapters.translate.data.batches import LookBatches
from adapters.translate.data.decoded import Looks
from studio.core import recipe as recipes
from studio.core.events import EventWriter
from studio.core.faces import LearnerContext
from studio.core.home import Home
from studio.core.procedure import Job
from studio.engine.loop import Loop


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("size", 64), ("width", 16), ("batch", 2), ("steps", 8), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        rounds = [one_round(asked, Path(folder)) for _ in range(asked.rounds + 1)][1:]  # the first is warmer's
    images = asked.batch * asked.steps
    for name, place in (("one loop", 0), ("bare loop", 1)):
        print(f"{name:10}{statistics.median(images / times[place] for times in rounds):8.2f} images/s")
    ratios = [bare / loop for loop, bare in rounds]
    print(f"ratio {statistics.median(ratios):.3f} (of each round: {', '.join(f'{ratio:.3f}' for ratio in ratios)})")
    return int(statistics.median(ratios) < 0.97)


def one_round(asked: argparse.Namespace, folder: Path) -> tuple[float, float]:
    """Seconds of the process for so many steps, of the one loop and of the bare one."""
    return in_the_loop(asked, folder), by_hand(asked)


def learner_of(asked: argparse.Namespace) -> CycleGan:
    learner = CycleGan(CycleGan.Params(width=asked.width, discriminator_width=asked.width))
    learner.setup(LearnerContext(None, [], 0, asked.size))
    return learner


def batches_of(asked: argparse.Namespace, settings: object) -> LookBatches:
    draw = np.random.default_rng(0)
    sides = [
        Looks([draw.integers(0, 256, (3, asked.size, asked.size), dtype=np.uint8) for _ in range(8)], None)
        for _ in range(2)
    ]
    return LookBatches(*sides, asked.size, settings)


def recipe_of(asked: argparse.Namespace) -> recipes.Recipe:
    train = {"epochs": 10_000, "max_steps": asked.steps, "batch_size": asked.batch, "augment": "none"}
    data = {"source": "images:a", "target": "images:b"}
    return recipes.parse({"task": "translate", "method": "translate/cyclegan", "data": data, "train": train})


def in_the_loop(asked: argparse.Namespace, folder: Path) -> float:
    recipe, learner = recipe_of(asked), learner_of(asked)
    events = EventWriter(folder / "events.jsonl")
    job = Job(recipe, learner, Home.find(folder), None, events, folder, "speed", "cpu", "fp32")
    loop = Loop(learner, batches_of(asked, recipe.train), recipe.train, job, lambda: {"score": 0.0})
    begun = time.process_time()
    loop.run()
    return time.process_time() - begun


def by_hand(asked: argparse.Namespace) -> float:
    net = learner_of(asked).module.train()
    batches = batches_of(asked, recipe_of(asked).train)
    sides = [nn.ModuleList([net[name] for name in names]) for names in (CycleGan.generating, CycleGan.discriminating)]
    adams = [torch.optim.Adam(side.parameters(), 2e-4, betas=(0.5, 0.999)) for side in sides]
    begun = time.process_time()
    for step in range(asked.steps):
        batch = batches.batch(step)
        x, y = batch.source.images, batch.target.images
        sides[1].requires_grad_(False)
        there, back = net["generator"](x), net["generator_back"](y)
        judged = net["discriminator"](there), net["discriminator_back"](back)
        loss = sum(mse_loss(logits, torch.ones_like(logits)) for logits in judged)
        loss = loss + 10 * (l1_loss(net["generator_back"](there), x) + l1_loss(net["generator"](back), y))
        loss = loss + 5 * (l1_loss(net["generator"](y), y) + l1_loss(net["generator_back"](x), x))
        adams[0].zero_grad()
        loss.backward()
        adams[0].step()
        sides[1].requires_grad_(True)
        adams[1].zero_grad()
        for judge, real, made, pool in (
            ("discriminator", y, there, "pool"), ("discriminator_back", x, back, "pool_back")
        ):  # fmt: skip
            on_real, on_made = net[judge](real), net[judge](net[pool](made.detach()))
            told = mse_loss(on_real, torch.ones_like(on_real)) + mse_loss(on_made, torch.zeros_like(on_made))
            (0.5 * told).backward()
        adams[1].step()
        loss.item()
    return time.process_time() - begun


if __name__ == "__main__":
    sys.exit(main())
