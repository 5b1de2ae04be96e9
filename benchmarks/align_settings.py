"""Deep alignment in other settings, on digits: fewer classes in the target, more of them, and a stream to adapt to.

    python benchmarks/align_settings.py ../shared/data/digits_mnist_usps.npz [--seeds 0] [--epochs 10]
        [--settings partial open stream]

The file has arrays mnist_x, mnist_y, usps_x, usps_y; 2,000 images of MNIST and 1,800 of USPS are drawn, studio/lenet at
20 pixels learns them from scratch, and epochs are chosen by the label-free default.
partial: MNIST to USPS, of which the digits 0 to 4 alone are there.
open: MNIST's digits 0 to 4 to all of USPS; the H-score of known and unknown. Closed-set methods call unknown what has a
probability below 0.5 (eval.unknown).
stream: learned on MNIST, asked about 2,000 other images of it with noise, blur or fog; --laps times over. Without the
reset the rows say "no reset".
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchvision.transforms.v2 import functional

from studio import run
from studio.core.home import Home

FEW = 5  # digits that are left
DRAWN = {"mnist": 2000, "usps": 1800}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("digits", type=Path)
    parser.add_argument("--settings", nargs="+", default=["partial", "open", "stream"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--laps", type=int, default=1, help="how often the stream comes round")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for seed in args.seeds:
            sets = Sets(args.digits, seed, args.laps, Path(scratch))
            for setting in args.settings:
                for line in SETTINGS[setting](sets, args.epochs, Home.find(Path(scratch) / "home")):
                    print(f"{setting}, seed {seed}: {line}", flush=True)


class Sets:
    """Specs of drawn digits, some of them left out or made worse."""

    def __init__(self, digits: Path, seed: int, laps: int, folder: Path) -> None:
        self.folder, self.seed, self.laps = folder, seed, laps
        with np.load(digits) as arrays:
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


def noise(x: np.ndarray, seed: int) -> np.ndarray:
    return (x + np.random.default_rng(seed).normal(0, 70, x.shape)).clip(0, 255).astype(np.uint8)


def blur(x: np.ndarray, seed: int) -> np.ndarray:
    return functional.gaussian_blur(torch.from_numpy(x)[:, None], [9, 9], [2.0, 2.0])[:, 0].numpy()


def fog(x: np.ndarray, seed: int) -> np.ndarray:
    """Less contrast, over a ground of slow waves."""
    waves = torch.from_numpy(np.random.default_rng(seed).uniform(60, 180, (len(x), 1, 4, 4)))
    ground = functional.resize(waves, list(x.shape[1:]), antialias=True)[:, 0].numpy()
    return (0.45 * x + 0.8 * ground).clip(0, 255).astype(np.uint8)


CORRUPTIONS = {"noise": noise, "blur": blur, "fog": fog}


def of(method: str, data: dict[str, str], seed: int, epochs: int, home: Home, **sections: Any) -> Any:
    model = {"backbone": "studio/lenet?in_chans=1&image_size=20", **sections.pop("model", {})}
    train = {"epochs": epochs, "batch_size": 64, "lr": 0.002, "augment": "none", "seed": seed, "workers": 1}
    params = {"backbone_lr": 1.0, **sections.pop("params", {})}
    values = {"task": "align", "method": f"align/{method}", "data": data, "model": model, "params": params}
    return run({**values, "train": {**train, **sections.pop("train", {})}, "device": "cpu", **sections}, home=home)


def partial(sets: Sets, epochs: int, home: Home) -> Iterator[str]:
    data = {"source": sets.spec("mnist"), "target": sets.spec("usps", few=True)}
    for method in ("source-only", "dann", "pada", "iwan", "etn"):
        result = of(method, data, sets.seed, epochs, home, eval={"source_only": False})
        yield f"{method} {100 * result.metrics['target_accuracy']:.1f}"


def open_set(sets: Sets, epochs: int, home: Home) -> Iterator[str]:
    data = {"source": sets.spec("mnist", few=True), "target": sets.spec("usps")}
    for method in ("source-only", "dann", "osbp"):
        unknown = {} if method == "osbp" else {"unknown": 0.5}
        found = of(method, data, sets.seed, epochs, home, eval={"source_only": False, **unknown}).metrics
        numbers = (100 * found[name] for name in ("h_score", "known_accuracy", "unknown_accuracy"))
        yield "{} H-score {:.1f} (known {:.1f}, unknown {:.1f})".format(method, *numbers)


def stream(sets: Sets, epochs: int, home: Home) -> Iterator[str]:
    data = {"source": sets.spec("mnist"), "target": sets.spec("mnist", others=True)}
    start = {"checkpoint": of("source-only", data, sets.seed, epochs, home, eval={"source_only": False}).checkpoint}
    for look in CORRUPTIONS:
        target = {"target": sets.spec("mnist", others=True, look=look)}
        for method, params in (("bn-adapt", {}), ("tent", {}), ("tent", {"reset": 0.0}), ("eata", {})):
            found = of(method, target, sets.seed, epochs, home, model=start, params=params, train={"lr": 0.001}).metrics
            errors = (100 * (1 - found[name]) for name in ("source_only_accuracy", "target_accuracy"))
            name = f"{method} (no reset)" if params else method
            yield "{}, {}: error {:.1f} -> {:.1f}, {} resets".format(look, name, *errors, found["resets"])


SETTINGS = {"partial": partial, "open": open_set, "stream": stream}


if __name__ == "__main__":
    main()
