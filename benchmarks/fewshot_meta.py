"""Meta-training side by side with learn2learn: the same network, the same images, ratios.

    python benchmarks/fewshot_meta.py DATA                 steps a second, loss: prototypes, Conv4
    python benchmarks/fewshot_meta.py DATA --threads 1     steps a CPU second, which other work does not disturb

DATA is Omniglot as a zip or a folder, such as omniglot_small1.zip. learn2learn's side is as its own examples have it:
its Conv4, its MetaDataset and task transforms, images opened when they are drawn, as torchvision's Omniglot does.
Blocks of steps of the two alternate, and the ratio is the median over blocks. Each draws its own episodes of the same
classes; the networks that come out are judged on common ones.
"""

import argparse
import contextlib
import io
import multiprocessing
import statistics
import time
from multiprocessing.connection import Connection

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from fewshot.meta.base import cross_entropy, embedded
from fewshot.meta.protonet import ProtoNet
from fewshot.meta.tasks import Pool, TaskBatches, one_channel
from studio.core import registry
from studio.core.faces import LearnerContext
from studio.core.streams import Step
from studio.data import open_data
from studio.data.pixels import decode
from studio.device.allocator import keep_freed_memory

QUERIES = 15
JUDGED = 100  # episodes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--ways", type=int, default=5)
    parser.add_argument("--shots", type=int, default=1)
    parser.add_argument("--blocks", type=int, default=10)
    parser.add_argument("--steps", type=int, default=20, help="steps a block")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of each side; 1 counts CPU time")
    side_by_side(parser.parse_args())


def side_by_side(args: argparse.Namespace) -> None:
    """Each side lives in a process of its own, since how a process holds memory is one for all that it does."""
    unit = "CPU second" if args.threads == 1 else "second"
    print(f"torch {torch.__version__}, {args.threads} threads, {args.ways}-way {args.shots}-shot {QUERIES} queries")
    sides = {"here": Side("here", args), "learn2learn": Side("learn2learn", args)}
    print("until the first step:", ", ".join(f"{side.ready_s:.1f} s {name}" for name, side in sides.items()))
    for _ in range(args.blocks):
        for side in sides.values():
            side.block(args.steps)
    rows = {name: side.end() for name, side in sides.items()}
    for name, side in sides.items():
        rate, last = args.steps / statistics.median(side.seconds), np.array(side.losses[len(side.losses) // 2 :])
        half = 1.96 * last.std() / len(last) ** 0.5
        print(
            f"{name:12} {rate:7.1f} steps a {unit}   mean loss of the last {len(last)} of {len(side.losses)} steps "
            f"{last.mean():.3f} ± {half:.3f}   afterwards on {JUDGED} common episodes {rows[name]:.4f}"
        )
    ratios = [slow / fast for fast, slow in zip(sides["here"].seconds, sides["learn2learn"].seconds, strict=True)]
    print(f"ratio {statistics.median(ratios):.2f} (blocks {min(ratios):.2f} to {max(ratios):.2f})")


class Side:
    """One side in its own process; the two take turns."""

    def __init__(self, name: str, args: argparse.Namespace) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.pipe, far = spawn.Pipe()
        self.process = spawn.Process(target=work, args=(far, name, args))
        self.process.start()
        self.ready_s: float = self.pipe.recv()
        self.seconds: list[float] = []
        self.losses: list[float] = []

    def block(self, steps: int) -> None:
        self.pipe.send(steps)
        seconds, losses = self.pipe.recv()
        self.seconds.append(seconds)
        self.losses += losses

    def end(self) -> float:
        self.pipe.send(0)
        value = self.pipe.recv()
        self.process.join()
        return value


def work(pipe: Connection, name: str, args: argparse.Namespace) -> None:
    """Blocks of as many steps as the pipe asks for; 0 ends with the loss on episodes that both sides are judged by."""
    torch.set_num_threads(args.threads)
    # with one thread CPU time is as good as the clock, and blind to what else the machine does
    clock = time.process_time if args.threads == 1 else time.perf_counter
    begun = time.perf_counter()
    ours = Ours(args.data, args.ways, args.shots)
    if name == "here":
        keep_freed_memory()  # as every run of the studio does
        side: Ours | Learn2learn = ours
    else:
        begun = time.perf_counter()
        side = Learn2learn(args.data, args.ways, args.shots, ours.learner.network)
    pipe.send(time.perf_counter() - begun)
    while steps := pipe.recv():
        at = clock()
        losses = [side.step() for _ in range(steps)]
        pipe.send((clock() - at, losses))
    pipe.send(ours.judged(side.network))


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
        self.network, self.done = self.learner.network, 0

    def step(self) -> float:
        loss = sum(self.learner.losses(self.batches.batch(self.done), Step(self.done, self.done + 1)).values())
        self.done += 1
        return descend(self.optimizer, loss)

    def judged(self, network: nn.Module) -> float:
        """Mean loss of a network on later episodes of the same classes, normalised as in training."""
        later = range(1_000_000, 1_000_000 + JUDGED)
        with torch.no_grad():
            return float(np.mean([float(cross_entropy(*self._scores(network, step))) for step in later]))

    def _scores(self, network: nn.Module, step: int) -> tuple[Tensor, Tensor]:
        episodes, truth = embedded(network, self.batches.batch(step))
        return self.learner.head().scores(episodes), truth


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
    """Omniglot from its files: an image is opened when it is asked for, resized to 28 pixels, scaled to -1..1."""

    def __init__(self, data: str) -> None:
        self.items = open_data(f"omniglot:{data}").items
        self.files = [item.source for item in self.items]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        with Image.open(io.BytesIO(self.files[number].read())) as image:
            small = image.convert("L").resize((28, 28), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(small))[None].float() / 127.5 - 1, self.items[number].label


def _parts(network: nn.Module, kind: type[nn.Module]) -> list[nn.Module]:
    return [part for part in network.modules() if isinstance(part, kind)]


def descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> float:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return float(loss.detach())


if __name__ == "__main__":
    main()
