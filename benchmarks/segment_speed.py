"""What segmentation costs beside what it does: scoring beside torchmetrics, the loop beside a bare one, making a batch.

    python benchmarks/segment_speed.py [scoring] [step] [batches] [networks] [--rounds 3] [--size 96]

All in seconds of one core, the two in turn, medians of the rounds. `scoring`: mIoU of 8 maps of 1024 x 2048 pixels and
19 classes, with void, by our confusion matrix and by torchmetrics (pip install torchmetrics). `step`: the light pyramid
in the training loop and in a bare one, on the same batches. `batches`: a batch cut, mirrored and distorted from images
of 480 x 360 with their masks, beside the step that learns from it; the loop makes one while the other is learned.
`networks`: images a second that each network learns from and looks at, eight of --size pixels at once.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adapters.segment.data.batches import MaskBatches
from adapters.segment.data.decoded import MaskedSplit
from adapters.segment.instances.data import ThingBatches
from adapters.segment.task import SegmentTrain
from benchmarks import segment_overfit as overfit
from benchmarks.by_heart import train
from benchmarks.training_loop import Ready, seconds_of
from studio.core import registry
from studio.core.faces import LearnerContext
from studio.core.home import Home
from studio.core.recipe import Recipe
from studio.data.items import Dataset
from studio.data.masks.class_map import VOID, pixels_by_class
from studio.data.preprocess import Preprocess
from studio.metrics.segmentation import confusion_of, scores_of

CLASSES = 19
BACKBONE = "pip/tf_efficientnet_lite0"
OWN = ("segment/segformer", "segment/eomt")  # networks with an encoder of their kind
PARTS = ("scoring", "step", "batches", "networks")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=96, help="pixels of the crops of `step`")
    asked = parser.parse_args()
    for part in asked.parts:
        {"scoring": scoring, "step": step, "batches": batches, "networks": networks}[part](asked)


def scoring(asked: Any) -> None:
    from torchmetrics.classification import MulticlassJaccardIndex

    draw = np.random.default_rng(0)
    truths = [np.kron(draw.integers(0, CLASSES, (64, 128)), np.ones((16, 16))).astype(np.uint8) for _ in range(8)]
    for truth in truths:
        truth[:40] = VOID
    guesses = [np.where(draw.random(truth.shape) < 0.9, truth % CLASSES, 3).astype(np.uint8) for truth in truths]

    def ours() -> float:
        return scores_of(sum(map(confusion_of, truths, guesses, [CLASSES] * len(truths)))).miou

    def theirs() -> float:
        metric = MulticlassJaccardIndex(CLASSES, ignore_index=VOID)
        for truth, guess in zip(truths, guesses, strict=True):
            metric.update(torch.from_numpy(guess).long(), torch.from_numpy(truth).long())
        return float(metric.compute())

    first, second = in_turn(lambda: seconds(ours), lambda: seconds(theirs), asked.rounds)
    print(f"scoring: ours {first:.2f} s, torchmetrics {second:.2f} s, {second / first:.1f} times as fast", flush=True)
    print(f"  mIoU {ours():.6f} and {theirs():.6f}")


def step(asked: Any) -> None:
    split = random_split(8, asked.size, asked.size)
    source = MaskBatches(split, Preprocess(asked.size), SegmentTrain(batch_size=8, augment="none"))
    ready = [source.batch(number) for number in range(8)]

    def bare() -> float:
        learner = network(asked.size)
        return seconds(lambda: train(learner, Ready(ready), len(ready), 1e-3, clip=1.0))

    def ours() -> float:
        recipe = Recipe(train={"epochs": 1, "batch_size": 8})
        with tempfile.TemporaryDirectory() as folder:
            home = Home.find(Path(folder) / "home")
            return seconds_of(network(asked.size), recipe, ready, home, Path(folder), time.process_time)

    first, second = in_turn(ours, bare, asked.rounds)
    print(f"step: loop {first / 8:.3f} s, bare loop {second / 8:.3f} s, ratio {first / second:.3f}", flush=True)


def batches(asked: Any) -> None:
    split, side = random_split(24, 360, 480), 256
    source = MaskBatches(split, Preprocess(side), SegmentTrain(batch_size=8))
    ready = [source.batch(0)]
    learner = network(side)
    made, learned = in_turn(
        lambda: seconds(lambda: source.batch(1)),
        lambda: seconds(lambda: train(learner, Ready(ready), 1, 1e-3, clip=1.0)),
        asked.rounds,
    )
    print(f"batches: made in {made:.3f} s, learned in {learned:.3f} s: {100 * made / learned:.0f} % of a step")


def networks(asked: Any) -> None:
    print(f"{'network':32}{'params':>8}{'learned/s':>11}{'looked/s':>10}")
    for method in overfit.networks():
        spec = overfit.backbone_of(method) if method in OWN else BACKBONE
        settings = SegmentTrain(batch_size=8, augment="none")
        if method in overfit.THINGS:
            split, classes = overfit.scenes_of_things(asked.size)
            learner = overfit.made(method, spec, asked.size, classes, {})
            source, look = ThingBatches(split, Preprocess(asked.size), settings), overfit.look_for_things
        else:
            split, classes = overfit.scenes(asked.size)
            learner = overfit.made(method, spec, asked.size, classes, {})
            source, look = MaskBatches(split, Preprocess(asked.size), settings), overfit.look
        ready = Ready([source.batch(0)])
        learned, looked = in_turn(
            lambda: seconds(lambda: train(learner, ready, 1, 1e-4, clip=1.0)),  # noqa: B023
            lambda: seconds(lambda: look(learner, split)),  # noqa: B023
            asked.rounds,
        )
        millions = sum(parameter.numel() for parameter in learner.module.parameters()) / 1e6
        print(f"{method:32}{millions:7.1f}M{8 / learned:11.1f}{8 / looked:10.1f}", flush=True)


def seconds(call: Callable[[], Any]) -> float:
    """Seconds of one core that a call takes."""
    begun = time.process_time()
    call()
    return time.process_time() - begun


def in_turn(first: Callable[[], float], second: Callable[[], float], rounds: int) -> tuple[float, float]:
    """The medians of what both give, called in turn, after one call of each to warm up."""
    pairs = [(first(), second()) for _ in range(rounds + 1)][1:]
    return statistics.median(one for one, _ in pairs), statistics.median(other for _, other in pairs)


def network(size: int) -> Any:
    cls = registry.get("segment/light-pyramid")
    learner = cls(cls.Params())
    learner.setup(LearnerContext(registry.backbone(BACKBONE, image_size=size), list(map(str, range(11))), 0, size))
    return learner


def random_split(images: int, height: int, width: int) -> MaskedSplit:
    draw = np.random.default_rng(0)
    pixels = [draw.integers(0, 255, (3, height, width), dtype=np.uint8) for _ in range(images)]
    maps = [draw.integers(0, 11, (height, width), dtype=np.uint8) for _ in range(images)]
    counts = np.array([pixels_by_class(11, mask) for mask in maps])
    return MaskedSplit(pixels, maps, counts, Dataset("random", list(map(str, range(11))), []))


if __name__ == "__main__":
    main()
