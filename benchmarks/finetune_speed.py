"""Images a second from JPEGs beside transformers' Trainer and a bare loop on timm's loader, in one process, in turn.

    python benchmarks/finetune_speed.py [--backbone NAME] [--size 224] [--batch 16] [--steps 8] [--rounds 3]

The same network, optimizer, batch, and augmentation (random resized crop and mirror) for all three. One round is
four passes over the same generated JPEGs, decoding included; building the network is not. Prints images a second
and the ratios; the promise for EfficientNet-Lite0 at 224 is at least 1.2 times both.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np
import timm
import torch
from PIL import Image
from torch.nn import functional

from adapters.finetune import procedure as training
from studio import run
from studio.core.home import Home

EPOCHS = 4
LR = 1e-3


def write_photos(folder: Path, count: int, side: int = 400) -> None:
    """JPEGs of smooth noise, two classes."""
    draw = np.random.default_rng(0)
    for number in range(count):
        small = Image.fromarray(draw.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        path = folder / "train" / ("a", "b")[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        small.resize((side, side), Image.Resampling.BICUBIC).save(path, quality=90)
    for name in ("a", "b"):
        path = folder / "val" / name / "0.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)


def ours(args, folder: Path) -> float:
    home = Home.find(folder / f"home-{time.monotonic_ns()}")
    recipe = {
        "method": "finetune/full",
        "model": {"backbone": f"timm/{args.backbone}?random", "image_size": args.size},
        "params": {"freeze_statistics": False, "head": "random"},
        "data": {"train": f"folder:{folder}"},
        "train": {"epochs": EPOCHS, "batch_size": args.batch, "lr": LR, "workers": 2, "checkpoint_every_s": 1e6},
        "device": args.device,
    }
    spent: list[float] = []
    with timed(training, "decode_split", spent), timed(training, "fit", spent):
        result = run(recipe, home=home)
    assert result.status == "finished", result.error
    return args.batch * args.steps * EPOCHS / sum(spent)


@contextmanager
def timed(module: ModuleType, name: str, spent: list[float]) -> Iterator[None]:
    """Notes the seconds of each call of a function of `module`."""
    function = getattr(module, name)

    def call(*args: object, **options: object) -> object:
        begun = time.perf_counter()
        try:
            return function(*args, **options)
        finally:
            spent.append(time.perf_counter() - begun)

    setattr(module, name, call)
    try:
        yield
    finally:
        setattr(module, name, function)


def timm_loop(args, folder: Path) -> float:
    from timm.data import create_dataset, create_loader

    model = timm.create_model(args.backbone, num_classes=2).to(args.device).train()
    begun = time.perf_counter()
    loader = create_loader(
        create_dataset("", str(folder / "train")), (3, args.size, args.size), args.batch, is_training=True,
        no_aug=False, color_jitter=0.0, num_workers=2, use_prefetcher=False, device=torch.device(args.device),
    )  # fmt: skip
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR)
    seen = 0
    for _ in range(EPOCHS):
        for images, labels in loader:
            loss = functional.cross_entropy(model(images.to(args.device)), labels.to(args.device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            seen += len(labels)
    return seen / (time.perf_counter() - begun)


def trainer(args, folder: Path) -> float:
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2
    from transformers import TimmWrapperConfig, TimmWrapperForImageClassification, Trainer, TrainingArguments

    look = v2.Compose([
        v2.RandomResizedCrop(args.size), v2.RandomHorizontalFlip(), v2.PILToTensor(),
        v2.ToDtype(torch.float32, scale=True), v2.Normalize((0.5,) * 3, (0.5,) * 3),
    ])  # fmt: skip
    data = ImageFolder(str(folder / "train"), look)
    config = TimmWrapperConfig(architecture=args.backbone, id2label={0: "a", 1: "b"}, label2id={"a": 0, "b": 1})
    settings = TrainingArguments(
        output_dir=str(folder / "trainer"), per_device_train_batch_size=args.batch, num_train_epochs=EPOCHS,
        learning_rate=LR, dataloader_num_workers=2, save_strategy="no", logging_strategy="no", disable_tqdm=True,
        remove_unused_columns=False, use_cpu=args.device == "cpu", report_to=[],
    )  # fmt: skip

    def collate(rows):
        return {"pixel_values": torch.stack([row[0] for row in rows]), "labels": torch.tensor([row[1] for row in rows])}

    work = Trainer(TimmWrapperForImageClassification(config), settings, train_dataset=data, data_collator=collate)
    begun = time.perf_counter()
    work.train()
    return len(data) * EPOCHS / (time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=8, help="steps a pass")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    ways = {"studio": ours, "timm loader": timm_loop, "transformers Trainer": trainer}
    found: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_photos(folder, args.batch * args.steps)
        for number in range(args.rounds):
            for title, way in ways.items():
                found[title].append(way(args, folder))
            print(f"round {number}: " + ", ".join(f"{t} {v[-1]:.1f} images/s" for t, v in found.items()), flush=True)
    for title in list(ways)[1:]:
        ratios = [mine / theirs for mine, theirs in zip(found["studio"], found[title], strict=True)]
        print(f"studio / {title}: {statistics.median(ratios):.2f} (median of {args.rounds})")


if __name__ == "__main__":
    main()
