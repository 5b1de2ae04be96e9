"""What detection costs: images a second of every detector, and a training step beside a bare loop.

    python benchmarks/detect_speed.py look [--size 320] [--batch 8] [--rounds 5]
    python benchmarks/detect_speed.py step [--size 224] [--batch 4] [--steps 6] [--rounds 5]

All stand untrained on one backbone (YOLOS on a small ViT, which is its backbone) with the defaults of their method.
`look` takes images in memory through the model and its post-processing, detectors in turn, and prints medians.
`step` compares the training loop with the same model, optimizer and batches in a loop of ten lines, by ratios.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch

from adapters.detect.base import BackboneDetector, TorchvisionDetector
from adapters.detect.hf_base import centred
from benchmarks.training_loop import seconds_of
from studio.core import registry
from studio.core.faces import LearnerContext
from studio.core.home import Home
from studio.core.recipe import Recipe
from studio.core.streams import Batch

BACKBONE = "pip/tf_efficientnet_lite0"
VIT = "timm/vit_tiny_patch16_224?random"
CLASSES = ["a", "b", "c"]
LR = 1e-4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(required=True)
    for name, part, size, batch in (("look", look, 320, 8), ("step", step, 224, 4)):
        sub = parts.add_parser(name)
        sub.add_argument("methods", nargs="*")
        sub.add_argument("--size", type=int, default=size)
        sub.add_argument("--batch", type=int, default=batch)
        sub.add_argument("--rounds", type=int, default=5)
        sub.add_argument("--steps", type=int, default=6, help="of each round of `step`")
        sub.set_defaults(part=part)
    asked = parser.parse_args()
    asked.part(asked)


def look(asked: argparse.Namespace) -> None:
    draw = torch.Generator().manual_seed(0)
    images = torch.randn(asked.batch, 3, asked.size, asked.size, generator=draw)
    learners = {method: made(method, asked.size) for method in asked.methods or detectors()}
    seconds: dict[str, list[float]] = {method: [] for method in learners}
    for number in range(asked.rounds + 1):  # the first warms up
        for method, learner in learners.items():
            learner.train_mode(False)
            begun = time.perf_counter()
            with torch.inference_mode():
                learner.predict(images)
            if number:
                seconds[method].append(time.perf_counter() - begun)
    print("| | parameters | images a second |\n|---|---:|---:|")
    for method in sorted(seconds, key=lambda one: statistics.median(seconds[one])):
        million = sum(parameter.numel() for parameter in learners[method].module.parameters()) / 1e6
        print(f"| `{method}` | {million:.1f} M | {asked.batch / statistics.median(seconds[method]):.1f} |")


def step(asked: argparse.Namespace) -> None:
    batches = [made_up(asked.batch, asked.size, seed) for seed in range(asked.steps)]
    with tempfile.TemporaryDirectory() as folder:
        home = Home.find(Path(folder) / "home")
        for method in asked.methods or ("detect/faster-rcnn", "detect/rt-detr-v2"):
            bare(method, batches[:2])
            ratios = []
            for number in range(asked.rounds):
                runs = [lambda: bare(method, batches), lambda: ours(method, batches, home, Path(folder))]  # noqa: B023
                taken = [run() for run in runs[:: -1 if number % 2 else 1]]
                first, second = taken[:: -1 if number % 2 else 1]
                ratios.append(second / first)
                print(f"{method} bare {first:.2f} s, loop {second:.2f} s, ratio {ratios[-1]:.3f}", flush=True)
            print(f"{method}: loop / bare = {statistics.median(ratios):.3f} (median of {asked.rounds})", flush=True)


def detectors() -> list[str]:
    """The ids of all that find boxes by themselves."""
    return [cls.id for cls in registry.methods("detect") if issubclass(cls, BackboneDetector) and not cls.adapts()]


def made(method: str, size: int) -> BackboneDetector:
    learner = registry.get(method)()
    backbone = registry.backbone(VIT if method == "detect/yolos" else BACKBONE, image_size=size)
    learner.setup(LearnerContext(backbone, CLASSES, 0, size))
    return learner


def made_up(batch: int, size: int, seed: int) -> Batch:
    """A batch of noise with four boxes an image."""
    draw = torch.Generator().manual_seed(seed)
    corner = torch.rand(batch, 4, 2, generator=draw) * size * 0.6
    sides = size * (0.1 + 0.3 * torch.rand(batch, 4, 2, generator=draw))
    return Batch(
        images=torch.randn(batch, 3, size, size, generator=draw),
        boxes=torch.cat([corner, corner + sides], dim=2),
        labels=torch.randint(len(CLASSES), (batch, 4), generator=draw),
    )


def bare(method: str, batches: list[Batch]) -> float:
    """Seconds of the library's own model in a loop of its own."""
    learner = made(method, batches[0].images.shape[-1])
    learner.train_mode(True)
    model, torchvision = learner.module, isinstance(learner, TorchvisionDetector)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR)
    torch.manual_seed(0)
    begun = time.perf_counter()
    for batch in batches:
        images, side = batch.images, batch.images.shape[-1]
        pairs = list(zip(batch.boxes, batch.labels, strict=True))
        if torchvision:
            targets = [{"boxes": boxes, "labels": labels + learner.first_label} for boxes, labels in pairs]
            loss = sum(model(list(images), targets).values())
        else:
            targets = [{"boxes": centred(boxes) / side, "class_labels": labels} for boxes, labels in pairs]
            loss = model(pixel_values=images, labels=targets).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return time.perf_counter() - begun


def ours(method: str, batches: list[Batch], home: Home, folder: Path) -> float:
    """Seconds of the training loop with its events, guards and schedule."""
    learner = made(method, batches[0].images.shape[-1])
    settings = {"epochs": 1, "batch_size": len(batches[0].images), "lr": LR, "clip": 1.0}
    torch.manual_seed(0)
    return seconds_of(learner, Recipe(task="detect", method=method, train=settings), batches, home, folder)


if __name__ == "__main__":
    main()
