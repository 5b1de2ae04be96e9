"""Real transfer without any hub: a small ViT trained on MNIST and moved to USPS with ten labels a class.

    python benchmarks/finetune_transfer.py [--data ../shared/data/digits_mnist_usps.npz] [--seeds 5] [--out table.md]

Prints accuracy on 1,000 USPS images, mean over seeds with a 95 % interval, of the same network from scratch
and moved by full fine-tuning, LP-FT and LoRA. A seed draws the ten images a class and everything random.
Nothing is chosen on the test images: the last epoch is taken, settings are the same for all seeds.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from studio import run
from studio.core.home import Home
from studio.metrics import mean_ci95

NETWORK = "timm/vit_tiny_patch16_224?random&img_size=28&patch_size=4&embed_dim=64&depth=4&num_heads=4"
TRAIN = {"batch_size": 25, "augment": "crop", "crop": 0.7, "workers": 1, "lr": 0.001}
METHODS = {
    "from scratch": ("finetune/full", {"backbone_lr": 1.0, "head": "random"}),
    "full": ("finetune/full", {"backbone_lr": 0.5, "head": "random"}),
    "LP-FT": ("finetune/lp-ft", {"backbone_lr": 0.5, "head_lr": 1.0}),
    "LoRA": ("finetune/lora", {"targets": "all", "head": "random"}),
}


def files(data: Path, folder: Path, seeds: int) -> None:
    """The parts as .npz files: MNIST, USPS test, and ten USPS images a class for each seed."""
    with np.load(data, allow_pickle=False) as found:
        mnist, digits = found["mnist_x"], found["mnist_y"]
        usps, labels = found["usps_x"], found["usps_y"]
    np.savez(folder / "mnist.npz", X=mnist[:3000], y=digits[:3000])
    np.savez(folder / "mnist-val.npz", X=mnist[3000:3500], y=digits[3000:3500])
    np.savez(folder / "test.npz", X=usps[2000:], y=labels[2000:])
    np.savez(folder / "val.npz", X=usps[1900:2000], y=labels[1900:2000])
    for seed in range(seeds):
        draw = np.random.default_rng(seed)
        rows = np.concatenate([draw.permutation(np.flatnonzero(labels[:1900] == digit))[:10] for digit in range(10)])
        np.savez(folder / f"few-{seed}.npz", X=usps[rows], y=labels[rows])


def spec(folder: Path, name: str) -> str:
    return f"npz:{folder / name}.npz?x=X&y=y"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default="../shared/data/digits_mnist_usps.npz")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--pretrain-epochs", type=int, default=30)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        home = Home.find(folder / "home")
        files(Path(args.data), folder, args.seeds)
        train = {**TRAIN, "epochs": args.pretrain_epochs, "batch_size": 50}
        source = run(
            {
                "method": "finetune/full",
                "model": {"backbone": NETWORK},
                "params": {"backbone_lr": 1.0, "head": "random"},
                "data": {"train": spec(folder, "mnist"), "val": spec(folder, "mnist-val")},
                "train": train,
            },
            home=home,
        )
        print(f"MNIST: accuracy {source.metrics['accuracy']:.3f} on 500 images", flush=True)
        lines = ["| method | accuracy on USPS | seeds |", "|---|---|---|"]
        for title, (method, params) in METHODS.items():
            backbone = NETWORK if title == "from scratch" else f"store/{source.checkpoint}"
            scores = [moved(method, params, backbone, folder, seed, args.epochs, home) for seed in range(args.seeds)]
            mean, half = mean_ci95(np.array(scores))
            shown = ", ".join(f"{score:.3f}" for score in scores)
            lines.append(f"| {title} | {mean:.3f} ± {half:.3f} | {shown} |")
            print(lines[-1], flush=True)
            if args.out:
                args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def moved(method: str, params: dict, backbone: str, folder: Path, seed: int, epochs: int, home: Home) -> float:
    recipe = {
        "method": method,
        "model": {"backbone": backbone},
        "params": params,
        "data": {"train": spec(folder, f"few-{seed}"), "val": spec(folder, "val"), "test": spec(folder, "test")},
        "train": {**TRAIN, "epochs": epochs, "seed": seed},
        "eval": {"selection": "last"},
    }
    return run(recipe, home=home).metrics["accuracy"]


if __name__ == "__main__":
    main()
