"""Scenes from clear air to fog: source only, adapted, and the bound of a detector that is told the target's boxes.

python benchmarks/detect_domains.py --seeds 0 1 2
python benchmarks/detect_domains.py --detector detect/faster-rcnn --adapt detect/da-faster-rcnn detect/mean-teacher

Every row has the same images, steps and backbone, and keeps the last weights: no box of the target chooses
anything. The source-only detector and the bound keep an average of their weights, as the teacher is one.
"""

import argparse
import json
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
    "detect/rt-detr-v2": {"width": 64, "hidden": 128, "queries": 30, "denoising": 30},
}
SEEDS = {"source": 0, "target": 1, "test": 2}  # of the scenes: the looks never show the same scene


def scenes(part: str, look: str, images: int, args: argparse.Namespace) -> str:
    where = f"size={args.size}&classes={args.classes}&look={look}&seed={SEEDS[part]}"
    return f"builtin:scenes?images={images}&{where}"


def recipe(arm: str, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """The recipe of one row: `source only`, `bound`, or the id of a method that adapts."""
    clear, fog = scenes("source", "clear", args.images, args), scenes("target", args.look, args.images, args)
    test = scenes("test", args.look, args.test, args)
    method, params = args.detector, SMALL[args.detector]
    data = {"source only": {"train": clear}, "bound": {"train": fog}}.get(arm, {"source": clear, "target": fog})
    if arm.startswith("detect/"):
        method = arm
    if arm == "detect/mean-teacher":
        params = {"detector": args.detector, "detector_params": params, **args.teacher}
    return {
        "task": "detect", "method": method, "params": params, "data": {**data, "test": test},
        "model": {"backbone": args.backbone, "image_size": args.size},
        "train": {
            "epochs": args.epochs, "batch_size": args.batch, "clip": 5.0, "seed": seed, "lr": args.lr,
            "ema": 0.0 if arm == "detect/mean-teacher" else 0.99,
        },
        "eval": {"selection": "last"}, "device": "cpu",
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--detector", default="detect/fcos", choices=sorted(SMALL))
    parser.add_argument("--adapt", nargs="*", default=["detect/mean-teacher"])
    parser.add_argument("--arms", nargs="*", help="rows to run (default: source only, those of --adapt, bound)")
    parser.add_argument("--backbone", default="pip/tf_efficientnet_lite0")
    parser.add_argument("--look", default="fog", choices=("fog", "night", "infrared"))
    parser.add_argument("--images", type=int, default=150)
    parser.add_argument("--test", type=int, default=100)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--classes", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--lr", type=float, default=0.001)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    teacher = {"burn_in": 300, "threshold": 0.3}
    parser.add_argument("--teacher", type=json.loads, default=teacher, help="params of the mean teacher, JSON")
    args = parser.parse_args()
    arms = args.arms or ["source only", *args.adapt, "bound"]
    print(f"{args.detector}, {args.backbone} at {args.size} pixels, clear to {args.look}, {args.epochs} epochs")
    print("| | AP on the target | AP50 | AP of each seed | seconds |\n|---|---:|---:|---|---:|")
    with tempfile.TemporaryDirectory() as folder:
        home = Home.find(Path(folder) / "home")
        for arm in arms:
            begun = time.monotonic()
            rows = [run(recipe(arm, seed, args), home=home).metrics for seed in args.seeds]
            ap, ap50 = (np.mean([row[name] for row in rows]) for name in ("map", "map_50"))
            each = ", ".join(f"{row['map']:.3f}" for row in rows)
            print(f"| {arm} | {ap:.3f} | {ap50:.3f} | {each} | {time.monotonic() - begun:.0f} |", flush=True)


if __name__ == "__main__":
    main()
