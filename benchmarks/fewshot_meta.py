"""Meta-training side by side with learn2learn: the same network, the same images, one process, ratios.

    python benchmarks/fewshot_meta.py DATA              steps per second and loss of prototypical training of Conv4
    python benchmarks/fewshot_meta.py DATA --table      leave-one-alphabet-out on Omniglot small1: accuracies

DATA is Omniglot as a zip or a folder, such as omniglot_small1.zip. learn2learn's side is as its own examples have it:
its Conv4, its MetaDataset and task transforms, images opened when they are drawn, as torchvision's Omniglot does.
Blocks of steps of the two alternate, and the ratio is the median over blocks.
"""

import argparse
import contextlib
import io
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from fewshot.meta.protonet import ProtoNet
from fewshot.meta.tasks import Pool, TaskBatches, one_channel
from studio.core import recipe as recipes
from studio.core import registry
from studio.core.faces import LearnerContext
from studio.core.home import Home
from studio.data import open_data
from studio.data.pixels import decode
from studio.metrics import mean_ci95
from studio.runs.executors import run_inline
from studio.runs.runner import submit
from studio.store import Store

QUERIES = 15
ALPHABETS = ("Balinese", "Early_Aramaic", "Greek", "Korean", "Latin")
#: what each method trains with: about as long for each, a minute or less of one core
METHODS: dict[str, dict[str, Any]] = {
    "protonet": {"params": {"train_ways": 10, "train_queries": 5}, "steps": 300},
    "matching-networks": {"params": {"train_ways": 10, "train_queries": 5}, "steps": 300},
    "maml": {"params": {"tasks": 4, "inner_lr": 0.4, "train_queries": 5}, "steps": 100},
    "anil": {"params": {"tasks": 4, "inner_lr": 0.1, "inner_steps": 5, "train_queries": 5}, "steps": 150},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--held", nargs="*", default=list(ALPHABETS), choices=ALPHABETS, help="folds of the table")
    parser.add_argument("--ways", type=int, default=5)
    parser.add_argument("--shots", type=int, default=1)
    parser.add_argument("--blocks", type=int, default=10)
    parser.add_argument("--steps", type=int, default=20, help="steps a block")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.table:
        table(args.data, args.methods, args.held, args.ways, args.shots)
    else:
        side_by_side(args)


def side_by_side(args: argparse.Namespace) -> None:
    begun = time.perf_counter()
    ours = Ours(args.data, args.ways, args.shots)
    ready = time.perf_counter()
    peer = Learn2learn(args.data, args.ways, args.shots, ours.learner.network)
    print(f"torch {torch.__version__}, {args.threads} thread(s), {args.ways}-way {args.shots}-shot {QUERIES} queries")
    print(f"until the first step: {ready - begun:.1f} s here, {time.perf_counter() - ready:.1f} s learn2learn")
    losses: dict[str, list[float]] = {"here": [], "learn2learn": []}
    seconds: dict[str, list[float]] = {"here": [], "learn2learn": []}
    for _ in range(args.blocks):
        for name, side in (("here", ours), ("learn2learn", peer)):
            at = time.perf_counter()
            losses[name] += [side.step() for _ in range(args.steps)]
            seconds[name].append(time.perf_counter() - at)
    for name, spent in seconds.items():
        rate, last = args.steps / statistics.median(spent), np.mean(losses[name][-2 * args.steps :])
        print(f"{name:12} {rate:7.1f} steps/s   mean loss of the last {2 * args.steps} steps {last:.3f}")
    ratios = [slow / fast for fast, slow in zip(seconds["here"], seconds["learn2learn"], strict=True)]
    print(f"ratio {statistics.median(ratios):.2f} (blocks {min(ratios):.2f} to {max(ratios):.2f})")


class Ours:
    def __init__(self, data: str, ways: int, shots: int) -> None:
        backbone = registry.backbone("studio/conv4?in_chans=1")
        self.learner = ProtoNet()
        self.learner.setup(LearnerContext(backbone, [], extra={"ways": ways}))
        pixels, kept = decode(open_data(f"omniglot:{data}"), backbone.preprocess)
        pool = Pool(one_channel(torch.from_numpy(pixels)), kept)
        self.batches = TaskBatches(pool, pool.sampler(ways, shots, QUERIES, 1, 0), backbone.preprocess, 1, 100)
        self.optimizer = torch.optim.AdamW(self.learner.param_groups(0.001, 0.0))
        self.learner.train_mode(True)
        self.done = 0

    def step(self) -> float:
        loss = sum(self.learner.losses(self.batches.batch(self.done)).values())
        self.done += 1
        return descend(self.optimizer, loss)


class Learn2learn:
    def __init__(self, data: str, ways: int, shots: int, like: nn.Module) -> None:
        with contextlib.redirect_stderr(io.StringIO()):
            import learn2learn as l2l
        self.ways, self.shots = ways, shots
        self.network = nn.Sequential(
            l2l.vision.models.cnn4.ConvBase(hidden=64, channels=1, max_pool=True, layers=4, max_pool_factor=1.0),
            nn.Flatten(),
        )
        for kind in (nn.Conv2d, nn.BatchNorm2d):  # the same start
            pairs = zip(_parts(self.network, kind), _parts(like, kind), strict=True)
            for own, given in pairs:
                own.load_state_dict(given.state_dict())
        images = l2l.data.MetaDataset(Characters(data))
        transforms = l2l.data.transforms
        tasks = l2l.data.TaskDataset(
            images,
            num_tasks=100_000,
            task_transforms=[
                transforms.FusedNWaysKShots(images, n=ways, k=shots + QUERIES),
                transforms.LoadData(images),
                transforms.RemapLabels(images),
                transforms.ConsecutiveLabels(images),
            ],
        )
        self.loader = iter(DataLoader(tasks))
        self.optimizer = torch.optim.AdamW(self.network.parameters(), 0.001, weight_decay=0.0)

    def step(self) -> float:
        images, labels = (tensor.squeeze(0) for tensor in next(self.loader))
        images = images[labels.argsort(stable=True)]
        features = self.network(images).view(self.ways, self.shots + QUERIES, -1)
        means = features[:, : self.shots].mean(1)
        queries = features[:, self.shots :].flatten(0, 1)
        scores = -((queries.unsqueeze(1) - means.unsqueeze(0)) ** 2).sum(2)
        truth = torch.arange(self.ways).repeat_interleave(QUERIES)
        return descend(self.optimizer, functional.cross_entropy(scores, truth))


class Characters(Dataset):
    """Omniglot from its files: a picture is opened when it is asked for, resized to 28 pixels, scaled to -1..1."""

    def __init__(self, data: str) -> None:
        self.items = open_data(f"omniglot:{data}").items
        self.files = [item.source for item in self.items]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        with Image.open(io.BytesIO(self.files[number].read())) as picture:
            small = picture.convert("L").resize((28, 28), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(small))[None].float() / 127.5 - 1, self.items[number].label


def _parts(network: nn.Module, kind: type[nn.Module]) -> list[nn.Module]:
    return [part for part in network.modules() if isinstance(part, kind)]


def descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> float:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def table(data: str, methods: list[str], alphabets: list[str], ways: int, shots: int) -> None:
    """A JSON line a fold, then the mean over the folds of each method."""
    home = Home.find(Path(tempfile.mkdtemp()))
    for method in methods:
        folds = [fold(home, data, method, held, ways, shots) for held in alphabets]
        mean, half = mean_ci95(np.array([row["accuracy"] for row in folds]))
        print(f"{method}: mean of {len(folds)} folds {100 * mean:.1f} ± {100 * half:.1f}", flush=True)


def fold(home: Home, data: str, method: str, held: str, ways: int, shots: int) -> dict[str, Any]:
    kept = "+".join(name for name in ALPHABETS if name != held)
    settings = METHODS[method]
    values = {
        "method": f"fewshot/{method}",
        "device": "cpu",
        "model": {"backbone": "studio/conv4?in_chans=1"},
        "data": {"train": f"omniglot:{data}?alphabets={kept}", "test": f"omniglot:{data}?alphabets={held}"},
        "params": {**settings["params"], "rotations": "train", "steps_per_epoch": settings["steps"] // 4,
                   "val_episodes": 20},
        "train": {"epochs": 4, "lr": 0.003, "workers": 1, "checkpoint_every_s": 3600},
        "eval": {"ways": ways, "shots": shots, "queries": 15, "episodes": 200},
    }  # fmt: skip
    result = run_inline(submit(recipes.parse(values), Store(home)), home)
    if result.status != "finished":
        raise SystemExit(result.error)
    row = {"method": method, "held out": held, **{k: result.metrics[k] for k in ("accuracy", "accuracy_ci95")}}
    row["seconds"] = round(result.seconds, 1)
    print(json.dumps(row), flush=True)
    return row


if __name__ == "__main__":
    main()
