"""What this machine's accelerator does with the studio, in one command and under ten minutes; a table and a JSON line.

    python benchmarks/gpu_check.py [--device cuda] [--json FILE]
    python benchmarks/gpu_check.py --device cpu --small

The training loop beside a bare one in each precision, a batch that does not fit, two processes that
lease one device, steps of a ViT and of a DETR, few-shot episodes a second. Ends with 1 where a promise is broken: one
loop that costs over 1.1 of the bare one (not judged with `--small`), a gradient that running out of memory has changed,
two leases at once that do not fit together.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import timm
import torch
from torch import nn
from torch.nn import functional

from benchmarks.training_loop import Bench, Ready
from studio import run
from studio.core import registry
from studio.core.events import EventWriter
from studio.core.faces import Learner, LearnerContext
from studio.core.home import Home
from studio.core.procedure import Job
from studio.core.recipe import Recipe
from studio.core.streams import Batch
from studio.device.manager import DeviceManager, TorchProbe
from studio.engine.loop import Loop, accelerator_for

ROOT = Path(__file__).resolve().parents[1]
MOST_COST = 1.1  # of the loop, over the bare one


@dataclass(frozen=True)
class Setting:
    """What is checked, and at which sizes."""

    device: str
    small: bool
    folder: Path

    @property
    def home(self) -> Home:
        return Home.find(self.folder / "home")

    def size(self, small: int, large: int) -> int:
        return small if self.small else large


@dataclass(frozen=True)
class Row:
    """One line of the table; `kept` is None where nothing was promised."""

    check: str
    value: float
    unit: str
    kept: bool | None = None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="sizes for a processor: nothing is judged by its time")
    parser.add_argument("--json", type=Path, help="write the rows here too")
    args = parser.parse_args()
    if not any(device.id.startswith(args.device) for device in TorchProbe().devices()):
        parser.error(f"--device: there is no {args.device} here; --device cpu --small tries the checks themselves")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(args.device, args.small, Path(folder))
        for check in CHECKS:
            for row in check(setting):
                rows.append(row)
                mark = {None: "", True: "kept", False: "BROKEN"}[row.kept]
                print(f"{row.check:<52} {row.value:>12.4g} {row.unit:<12} {mark}", flush=True)
    facts = {"device": name_of(args.device), "torch": torch.__version__, "rows": [asdict(row) for row in rows]}
    if args.json:
        args.json.write_text(json.dumps(facts, indent=2), encoding="utf-8")
    print(json.dumps(facts))
    return int(any(row.kept is False for row in rows))


def name_of(device: str) -> str:
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def loop_beside_bare(setting: Setting) -> Iterator[Row]:
    """A ViT's steps in the training loop and in ten lines, in turn."""
    batches = images_of(setting, setting.size(4, 64), setting.size(3, 30))
    for precision in ("fp32", "bf16") if setting.device == "cpu" else ("fp32", "bf16", "fp16"):
        for compiled in (False,) if setting.small else (False, True):
            ratios = []
            for _ in range(setting.size(1, 3)):
                bare = bare_seconds(vit(setting), batches, setting.device, precision, compiled)
                learner = Bench()
                learner.module = vit(setting)
                ratios.append(loop_seconds(setting, learner, batches, precision, compiled) / bare)
            ratio = statistics.median(ratios)
            what = f"loop / bare, ViT, {precision}{', compiled' if compiled else ''}"
            yield Row(what, ratio, "x", None if setting.small else ratio <= MOST_COST)


def bare_seconds(module: nn.Module, batches: list[Batch], device: str, precision: str, compiled: bool) -> float:
    module.to(device).train()
    if compiled:
        module.compile()
    optimizer, accelerator = torch.optim.AdamW(module.parameters(), lr=1e-3), accelerator_for(device, precision)
    module = accelerator.prepare_model(module, device_placement=False)

    def steps(some: list[Batch]) -> None:
        for batch in some:
            with accelerator.autocast():
                loss = functional.cross_entropy(module(batch.images.to(device)), batch.labels.to(device))
            optimizer.zero_grad()
            accelerator.backward(loss)
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()

    return seconds(lambda: steps(batches), lambda: steps(batches[:2]), device)


def loop_seconds(
    setting: Setting, learner: Learner, batches: list[Batch], precision: str = "fp32", compiled: bool = False,
    recipe: Recipe | None = None,
) -> float:  # fmt: skip
    """The loop on batches in memory, after one walk that warms up."""
    learner.module.to(setting.device)
    recipe = recipe or Recipe(train={"epochs": 1, "batch_size": len(batches[0].images)})
    recipe.train.checkpoint_every_s, recipe.train.compile = 1e9, compiled
    with EventWriter(setting.folder / "events.jsonl") as events:

        def steps(some: list[Batch]) -> None:
            job = Job(recipe, learner, setting.home, None, events, setting.folder, "check", setting.device, precision)
            loop = Loop(learner, Ready(some), recipe.train, job, lambda: {"score": 0.0})
            loop.progress.best_score = 1.0  # weights are not copied: the bare loop keeps none either
            loop.run()

        return seconds(lambda: steps(batches), lambda: steps(batches[:2]), setting.device)


def seconds(work: Callable[[], None], warm_up: Callable[[], None], device: str) -> float:
    warm_up()
    wait_for(device)
    begun = time.perf_counter()
    work()
    wait_for(device)
    return time.perf_counter() - begun


def wait_for(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def out_of_memory(setting: Setting) -> Iterator[Row]:
    """The gradient of a batch that did not fit at once is that of one that did; the error is the allocator's own."""
    (batch,) = images_of(setting, setting.size(4, 64), 1)
    whole = gradient(setting, batch, room=len(batch.images))
    parts = gradient(setting, batch, room=len(batch.images) // 2)
    apart = float((whole - parts).abs().max() / whole.abs().max())
    yield Row("gradient after running out of memory, difference", apart, "of largest", apart < 1e-3)


class Crowded(Bench):
    """Asks for more memory than there is where more than `room` images come at once."""

    room: int

    def losses(self, batch, at):
        if len(batch.images) > self.room:
            torch.empty(2**46, dtype=torch.uint8, device=batch.images.device)  # 64 TB
        return super().losses(batch, at)


def gradient(setting: Setting, batch: Batch, room: int) -> torch.Tensor:
    learner = Crowded()
    learner.module, learner.room = vit(setting).to(setting.device), room
    recipe = Recipe(train={"epochs": 1, "batch_size": len(batch.images), "optimizer": "sgd", "lr": 1e-9, "clip": 1e9})
    with EventWriter(setting.folder / "events.jsonl") as events:
        job = Job(recipe, learner, setting.home, None, events, setting.folder, "check", setting.device, "fp32")
        loop = Loop(learner, Ready([batch]), recipe.train, job, lambda: {"score": 0.0})
        loop.progress.best_score = 1.0
        loop.run()
    assert loop.micro.size == (None if room == len(batch.images) else room), "the batch was not halved"
    return torch.cat([parameter.grad.flatten() for parameter in learner.module.parameters()]).cpu()


LEASE = """
import sys, time
from studio.core.home import Home
from studio.device.manager import DeviceManager
home, device, memory_gb, seconds = sys.argv[1:]
with DeviceManager(Home.find(home)).lease(device, float(memory_gb)):
    begun = time.time()
    time.sleep(float(seconds))
    print(begun, time.time())
"""


def leases(setting: Setting) -> Iterator[Row]:
    """Two processes that want more than half of the device take turns; two that want less share it."""
    device = next(one for one in TorchProbe().devices() if one.id.startswith(setting.device))
    for share, together in ((0.6, False), (0.3, True)):
        command = [sys.executable, "-c", LEASE, str(setting.home.root), device.id, str(share * device.total_gb), "1.5"]
        both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(2)]
        times = sorted(tuple(map(float, process.communicate()[0].split())) for process in both)
        overlap = times[0][1] - times[1][0]
        what = f"leases of {share:.0%} by two processes, overlap"
        yield Row(what, max(0.0, overlap), "s", None if together else overlap <= 0.05)


def steps_of_networks(setting: Setting) -> Iterator[Row]:
    """Images a second that a ViT and a DETR train on."""
    precision = DeviceManager(setting.home).precision(setting.device)
    batches = images_of(setting, setting.size(4, 64), setting.size(2, 20))
    learner = Bench()
    learner.module = vit(setting)
    spent = loop_seconds(setting, learner, batches, precision)
    yield Row(f"ViT training, {precision}", rate(batches, spent), "images/s")
    size, count = setting.size(64, 512), setting.size(2, 8)
    batches = [boxes_of(count, size, seed) for seed in range(setting.size(2, 10))]
    detector = registry.get("detect/conditional-detr")()
    detector.setup(LearnerContext(registry.backbone(resnet(setting), image_size=size), ["a", "b"], 0, size))
    recipe = Recipe(task="detect", method=detector.id, train={"epochs": 1, "batch_size": count})
    spent = loop_seconds(setting, detector, batches, precision, recipe=recipe)
    yield Row(f"DETR training, {precision}", rate(batches, spent), "images/s")


def rate(batches: list[Batch], spent: float) -> float:
    return sum(len(batch.images) for batch in batches) / spent


def episodes(setting: Setting) -> Iterator[Row]:
    """Few-shot episodes a second of the quickstart's head, features in the cache."""
    values = {"device": setting.device, "eval.episodes": setting.size(50, 2000)}
    if setting.small:
        values |= {"model.backbone": "studio/conv4", "model.image_size": 16}
    result = run("quickstart", values, home=setting.home)
    yield Row("few-shot episodes", result.metrics["episodes_per_s"], "episodes/s")


CHECKS = (loop_beside_bare, out_of_memory, leases, steps_of_networks, episodes)


def vit(setting: Setting) -> nn.Module:
    torch.manual_seed(0)
    name = "vit_tiny_patch16_224" if setting.small else "vit_small_patch16_224"
    small = {"img_size": 32, "depth": 2} if setting.small else {}
    return timm.create_model(name, num_classes=10, **small)


def resnet(setting: Setting) -> str:
    return "timm/resnet18?random" if setting.small else "timm/resnet50?random"


def images_of(setting: Setting, batch: int, count: int) -> list[Batch]:
    draw, side = torch.Generator().manual_seed(0), setting.size(32, 224)
    return [
        Batch(
            images=torch.randn(batch, 3, side, side, generator=draw),
            labels=torch.randint(10, (batch,), generator=draw),
        )
        for _ in range(count)
    ]


def boxes_of(batch: int, size: int, seed: int) -> Batch:
    """Noise with four boxes an image, xyxy in pixels."""
    draw = torch.Generator().manual_seed(seed)
    corner = torch.rand(batch, 4, 2, generator=draw) * size * 0.6
    sides = size * (0.1 + 0.3 * torch.rand(batch, 4, 2, generator=draw))
    return Batch(
        images=torch.randn(batch, 3, size, size, generator=draw),
        boxes=torch.cat([corner, corner + sides], dim=2),
        labels=torch.randint(2, (batch, 4), generator=draw),
    )


if __name__ == "__main__":
    sys.exit(main())
