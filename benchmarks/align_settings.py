"""Deep alignment in other settings, on digits: fewer classes in the target, more of them, and a stream to adapt to.

    python benchmarks/align_settings.py ../shared/data/digits_mnist_usps.npz [--seeds 0] [--epochs 10]
        [--settings partial open stream] [--looks noise blur fog] [--laps 1] [--lr 0.001]
    python benchmarks/align_settings.py ../shared/data/pacs_mini --settings stream [--size 64] [--epochs 2]

The file has arrays mnist_x, mnist_y, usps_x, usps_y; 2,000 images of MNIST and 1,800 of USPS are drawn, studio/lenet at
20 pixels learns them from scratch, and epochs are chosen by the label-free default.
partial: MNIST to USPS, of which the digits 0 to 4 alone are there.
open: MNIST's digits 0 to 4 to all of USPS; the H-score of known and unknown. Closed-set methods call unknown what has a
probability below 0.5 (eval.unknown).
stream: learned on MNIST, asked about 2,000 other images of it with noise, blur or fog; --laps times over. Without the
reset the rows say "no reset". With a folder of PACS: learned on two thirds of its photos of the domain photo
(pip/tf_efficientnet_lite0, whole), asked about the others.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision.transforms.v2 import functional

from studio import run
from studio.core.home import Home

FEW = 5  # digits that are left
DRAWN = {"mnist": 2000, "usps": 1800, "photo": 140}
OF_DIGITS = {
    "model": {"backbone": "studio/lenet?in_chans=1&image_size=20"}, "params": {"backbone_lr": 1.0},
    "train": {"batch_size": 64, "lr": 0.002, "augment": "none"},
}  # fmt: skip
OF_PHOTOS = {
    "model": {"backbone": "pip/tf_efficientnet_lite0"}, "params": {},
    "train": {"batch_size": 16, "lr": 0.002, "augment": "crop"},
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a file of digits, or a folder of PACS")
    parser.add_argument("--settings", nargs="+", default=["partial", "open", "stream"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--looks", nargs="+", default=list(CORRUPTIONS))
    parser.add_argument("--size", type=int, default=64, help="pixels of photos")
    parser.add_argument("--lr", type=float, default=0.001, help="of what adapts to the stream")
    parser.add_argument("--laps", type=int, default=1, help="how often the stream comes round")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for seed in args.seeds:
            sets = Sets(args, seed, Path(scratch))
            for setting in args.settings:
                for line in SETTINGS[setting](sets, args.epochs, Home.find(Path(scratch) / "home")):
                    print(f"{setting}, seed {seed}: {line}", flush=True)


class Sets:
    """Specs of drawn digits, some of them left out or made worse."""

    def __init__(self, args: argparse.Namespace, seed: int, folder: Path) -> None:
        self.folder, self.seed, self.laps, self.looks, self.lr = folder, seed, args.laps, args.looks, args.lr
        self.learned, self.recipe = ("photo", OF_PHOTOS) if args.data.is_dir() else ("mnist", OF_DIGITS)
        if args.data.is_dir():
            self.arrays = photos(args.data / "photo", args.size)
            return
        with np.load(args.data) as arrays:
            self.arrays = {name: arrays[name] for name in arrays.files}

    def spec(self, name: str, few: bool = False, others: bool = False, look: str = "") -> str:
        """`few`: the digits below five alone; `others`: images that are not drawn without it; `look`: a corruption."""
        x, y = self.arrays[f"{name}_x"], self.arrays[f"{name}_y"]
        order = np.random.default_rng(self.seed).permutation(len(y))
        rows = np.sort(order[DRAWN[name] :] if others else order[: DRAWN[name]])
        rows = rows[y[rows] < FEW] if few else rows
        x, y = (np.tile(one[rows], [self.laps] + [1] * (one.ndim - 1)) if look else one[rows] for one in (x, y))
        path = self.folder / f"{name}-{self.seed}-{few}-{others}-{look}.npz"
        np.savez(path, x=CORRUPTIONS[look](x, self.seed) if look else x, y=y)
        return f"npz:{path}"


def photos(folder: Path, size: int) -> dict[str, np.ndarray]:
    """Images uint8 [N, size, size, 3] and the names of their classes [N], in an order that mixes these."""
    files = sorted(folder.glob("*/*"))
    files = [files[place] for place in np.random.default_rng(0).permutation(len(files))]
    images = [Image.open(file).convert("RGB").resize((size, size), Image.Resampling.BICUBIC) for file in files]
    return {"photo_x": np.stack(list(map(np.asarray, images))), "photo_y": np.array([f.parent.name for f in files])}


def noise(x: np.ndarray, seed: int) -> np.ndarray:
    return (x + np.random.default_rng(seed).normal(0, 70, x.shape)).clip(0, 255).astype(np.uint8)


def blur(x: np.ndarray, seed: int) -> np.ndarray:
    channels = torch.from_numpy(x if x.ndim == 4 else x[..., None]).movedim(3, 1)
    return functional.gaussian_blur(channels, [9, 9], [2.0, 2.0]).movedim(1, 3).reshape(x.shape).numpy()


def fog(x: np.ndarray, seed: int) -> np.ndarray:
    """Less contrast, over a ground of slow waves."""
    waves = torch.from_numpy(np.random.default_rng(seed).uniform(60, 180, (len(x), 1, 4, 4)))
    ground = functional.resize(waves, list(x.shape[1:3]), antialias=True)[:, 0].numpy()
    ground = ground if x.ndim == 3 else ground[..., None]
    return (0.45 * x + 0.8 * ground).clip(0, 255).astype(np.uint8)


CORRUPTIONS = {"noise": noise, "blur": blur, "fog": fog}


def of(method: str, data: dict[str, str], sets: Sets, epochs: int, home: Home, **sections: Any) -> Any:
    values = {"task": "align", "method": f"align/{method}", "data": data, "device": "cpu"}
    own = sets.recipe["train"] | {"epochs": epochs, "seed": sets.seed, "workers": 1}
    for name, usual in (("model", sets.recipe["model"]), ("params", sets.recipe["params"]), ("train", own)):
        values[name] = {**usual, **sections.pop(name, {})}
    return run({**values, **sections}, home=home)


def partial(sets: Sets, epochs: int, home: Home) -> Iterator[str]:
    data = {"source": sets.spec("mnist"), "target": sets.spec("usps", few=True)}
    for method in ("source-only", "dann", "pada", "iwan", "etn"):
        result = of(method, data, sets, epochs, home, eval={"source_only": False})
        yield f"{method} {100 * result.metrics['target_accuracy']:.1f}"


def open_set(sets: Sets, epochs: int, home: Home) -> Iterator[str]:
    data = {"source": sets.spec("mnist", few=True), "target": sets.spec("usps")}
    for method in ("source-only", "dann", "osbp"):
        unknown = {} if method == "osbp" else {"unknown": 0.5}
        found = of(method, data, sets, epochs, home, eval={"source_only": False, **unknown}).metrics
        numbers = (100 * found[name] for name in ("h_score", "known_accuracy", "unknown_accuracy"))
        yield "{} H-score {:.1f} (known {:.1f}, unknown {:.1f})".format(method, *numbers)


def stream(sets: Sets, epochs: int, home: Home) -> Iterator[str]:
    data = {"source": sets.spec(sets.learned), "target": sets.spec(sets.learned, others=True)}
    start = {"checkpoint": of("source-only", data, sets, epochs, home, eval={"source_only": False}).checkpoint}
    for look in sets.looks:
        target = {"target": sets.spec(sets.learned, others=True, look=look)}
        for method, params in (("bn-adapt", {}), ("tent", {}), ("tent", {"reset": 0.0}), ("eata", {})):
            found = of(method, target, sets, epochs, home, model=start, params=params, train={"lr": sets.lr}).metrics
            errors = (100 * (1 - found[name]) for name in ("source_only_accuracy", "target_accuracy"))
            name = f"{method} (no reset)" if params else method
            yield "{}, {}: error {:.1f} -> {:.1f}, {} resets".format(look, name, *errors, found["resets"])


SETTINGS = {"partial": partial, "open": open_set, "stream": stream}


if __name__ == "__main__":
    main()
