"""What each way of training a detector is worth: mosaic, copy-paste, several sizes, hard regions, RoI Align.

python benchmarks/detect_training.py
python benchmarks/detect_training.py --data voc:bccd --size 224

Every row has the same images, steps and seeds; the epoch is the best on val, the numbers are of test. No row chooses
anything for another.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from studio import run
from studio.core.home import Home

SCENES = "builtin:scenes?images={images}&size={size}&classes=3&seed={seed}"
FCOS = ("detect/fcos", {"width": 64, "depth": 1})
FASTER = ("detect/faster-rcnn", {"width": 64, "hidden": 128, "proposals": 64, "sampled": 32, "anchor": 12})
#: a name, the detector with its parameters, and what is changed
ROWS: list[tuple[str, tuple[str, dict[str, Any]], dict[str, Any]]] = [
    ("FCOS", FCOS, {}),
    ("FCOS, no average of weights", FCOS, {"train.ema": 0.0}),
    ("FCOS, mosaic 0.5", FCOS, {"train.mosaic": 0.5}),
    ("FCOS, copy-paste 0.5", FCOS, {"train.copy_paste": 0.5}),
    ("FCOS, sizes within 25 %", FCOS, {"train.multi_scale": 0.25}),
    ("Faster R-CNN", FASTER, {}),
    ("Faster R-CNN, hardest quarter of the regions", FASTER, {"params.hard": True}),
    ("Faster R-CNN, 14 places a side", FASTER, {"params.roi_size": 14}),
    ("Faster R-CNN, 1 point a place", FASTER, {"params.roi_samples": 1}),
    ("YOLOX", ("detect/yolox", {"width": 64, "depth": 1}), {}),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="a spec with a test split (default: builtin:scenes)")
    parser.add_argument("--backbone", default="pip/tf_efficientnet_lite0")
    parser.add_argument("--images", type=int, default=150, help="of the scenes")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--rows", type=int, nargs="*", help="numbers of the rows to run, from 0 (default: all)")
    args = parser.parse_args()
    data = {"train": args.data} if args.data else {
        "train": SCENES.format(images=args.images, size=args.size, seed=0),
        "test": SCENES.format(images=100, size=args.size, seed=2),
    }  # fmt: skip
    print("| | AP | AP50 | AP50 of each seed | seconds |\n|---|---:|---:|---|---:|")
    with tempfile.TemporaryDirectory() as folder:
        home = Home.find(Path(folder) / "home")
        for number in args.rows if args.rows is not None else range(len(ROWS)):
            name, (method, params), changes = ROWS[number]
            begun = time.monotonic()
            found = []
            for seed in args.seeds:
                recipe = {
                    "task": "detect", "method": method, "params": params, "data": data, "device": "cpu",
                    "model": {"backbone": args.backbone, "image_size": args.size},
                    "train": {"epochs": args.epochs, "batch_size": args.batch, "clip": 5.0, "ema": 0.99, "seed": seed},
                }  # fmt: skip
                found.append(run(recipe, changes, home=home).metrics)
            ap, ap50 = (np.mean([row[key] for row in found]) for key in ("map", "map_50"))
            each = ", ".join(f"{row['map_50']:.3f}" for row in found)
            print(f"| {name} | {ap:.3f} | {ap50:.3f} | {each} | {time.monotonic() - begun:.0f} |", flush=True)


if __name__ == "__main__":
    main()
