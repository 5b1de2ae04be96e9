"""Few-shot detection: AP of classes known before and of new ones, by shots, for each way of learning them.

python benchmarks/detect_fewshot.py
python benchmarks/detect_fewshot.py --detector detect/fcos --shots 1 5 --seeds 0

One detector learns three classes of `builtin:scenes` from many boxes. From it, or anew, each row learns five classes
from so many boxes each: same images, steps and learning rate. The last weights are kept; nothing was trained on the
test scenes, and no number of them chooses anything. A seed draws the shots and all else of a row.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from studio import run
from studio.core.home import Home

SMALL = {  # of each detector, for a CPU
    "detect/fcos": {"width": 64, "depth": 1},
    "detect/faster-rcnn": {"width": 64, "hidden": 128, "proposals": 64, "sampled": 48, "anchor": 12},
}
#: a row, whether it goes on from the detector of three classes, and what its params are beside those above
ROWS: list[tuple[str, bool, dict[str, Any]]] = [
    ("new head (`heads_only`)", True, {"heads_only": True}),
    ("new head by cosine (`cosine: 20`)", True, {"heads_only": True, "cosine": 20.0}),
    ("all tuned", True, {}),
    ("shots alone", False, {}),
]


def scenes(images: int, classes: int, seed: int, size: int) -> str:
    return f"builtin:scenes?images={images}&size={size}&classes={classes}&seed={seed}"


def recipe(args: argparse.Namespace, params: dict[str, Any], epochs: int, seed: int, classes: int) -> dict[str, Any]:
    return {
        "task": "detect", "method": args.detector, "params": {**SMALL[args.detector], **params},
        "model": {"backbone": args.backbone, "image_size": args.size}, "eval": {"selection": "last"}, "device": "cpu",
        "train": {"epochs": epochs, "batch_size": args.batch, "lr": args.lr, "clip": 5.0, "seed": seed},
        "data": {"val": scenes(10, classes, 4, args.size), "test": scenes(args.test, classes, 2, args.size)},
    }  # fmt: skip


def before(args: argparse.Namespace, home: Home) -> tuple[str, float]:
    """The detector of three classes, and its AP on scenes of these alone."""
    values = recipe(args, {}, args.base_epochs, 0, classes=3)
    values["data"]["train"] = scenes(args.images, 3, 0, args.size)
    done = run(values, home=home)
    assert done.checkpoint is not None, done.error
    return done.checkpoint, done.metrics["map"]


def row(args: argparse.Namespace, home: Home, base: str | None, params: dict[str, Any], shots: int) -> np.ndarray:
    """AP of known and of new classes [2, seeds], in percent."""
    found = []
    for seed in args.seeds:
        values = recipe(args, params, args.epochs, seed, classes=5)
        values["model"]["checkpoint"] = base
        values["data"].update(train=scenes(100, 5, 1, args.size), shots=shots)
        done = run(values, home=home)
        assert done.checkpoint is not None, done.error
        each = list(done.metrics["map_per_class"].values())
        found.append([100 * np.mean(each[:3]), 100 * np.mean(each[3:])])
        print(f"{shots} shots, seed {seed}: {found[-1][0]:.1f} known, {found[-1][1]:.1f} new", file=sys.stderr)
    return np.array(found).T


def told(values: np.ndarray) -> str:
    """Mean, and half a 95% interval of it by Student's t where there are several seeds."""
    if len(values) == 1:
        return f"{values[0]:.1f}"
    from scipy.stats import t

    half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return f"{values.mean():.1f} ± {half:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--detector", default="detect/faster-rcnn", choices=sorted(SMALL))
    parser.add_argument("--backbone", default="pip/tf_efficientnet_lite0")
    parser.add_argument("--shots", type=int, nargs="*", default=[1, 3, 5, 10])
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--images", type=int, default=150, help="of three classes, with all their boxes")
    parser.add_argument("--test", type=int, default=60)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--base-epochs", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=4, help="of 20 steps, on the shots")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--lr", type=float, default=0.001)
    args = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        home = Home.find(Path(folder) / "home")
        base, known = before(args, home)
        print(f"{args.detector} knows three classes with AP {100 * known:.1f} ({time.monotonic() - begun:.0f} s)\n")
        columns = [f"{kind}, {shots}" for shots in args.shots for kind in ("known", "new")]
        print(f"| shots | {' | '.join(columns)} | seconds |\n|---|{'---:|' * (len(columns) + 1)}", flush=True)
        for name, goes_on, params in ROWS:
            if params.get("cosine") and args.detector != "detect/faster-rcnn":
                continue
            since = time.monotonic()
            cells = [told(one) for k in args.shots for one in row(args, home, base if goes_on else None, params, k)]
            print(f"| {name} | {' | '.join(cells)} | {time.monotonic() - since:.0f} |", flush=True)


if __name__ == "__main__":
    main()
