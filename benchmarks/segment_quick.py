"""Pixels of street scenes named by a network that a laptop trains: mIoU and each class, pretrained and untrained.

    python benchmarks/segment_quick.py FOLDER [--method segment/light-pyramid] [--random] [--set KEY=VALUE ...]

FOLDER is as for `masks:` (train/ and val/ with images/ and masks/); `--options` (ignore=11&classes=camvid) goes behind.
The preset segment-quick with what is set here; the last epoch is judged (no choice by what is scored). With `--random`
the same network without pretrained weights. One row a seed, then a table of classes (means over the seeds).
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from studio import run
from studio.core.home import Home

KEYS = {"model.image_size": 256, "eval.selection": "last"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--options", default="ignore=11&classes=camvid")
    parser.add_argument("--method", default="segment/light-pyramid")
    parser.add_argument("--random", action="store_true", help="untrained weights")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    asked = parser.parse_args()
    keys = {**KEYS, "method": asked.method, "data.train": f"masks:{asked.folder}?{asked.options}"}
    keys |= dict(pair.split("=", 1) for pair in asked.set)
    if asked.random:
        keys["model.backbone"] = "timm/tf_efficientnet_lite0?random"
        keys["params.backbone_lr"], keys["params.freeze_statistics"] = 1.0, False
    found = []
    for seed in range(asked.seeds):
        found.append(once({**keys, "train.seed": seed}))
    per_class = {name: [metrics["miou_per_class"][name] for metrics in found] for name in found[0]["miou_per_class"]}
    for name, values in per_class.items():
        print(f"{name:16}{np.mean([value or 0.0 for value in values]):7.3f}")
    means = [metrics["miou"] for metrics in found]
    spread = f" +- {np.std(means, ddof=1):.3f} (SD of seeds)" if len(means) > 1 else ""
    print(f"{'mean':16}{np.mean(means):7.3f}{spread}")
    return 0


def once(keys: dict) -> dict:
    """The metrics of one run, and a row of them."""
    begun, worked = time.monotonic(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        metrics = run("segment-quick", keys, home=Home.find(Path(folder))).metrics
    print(
        f"seed {keys['train.seed']}: mIoU {metrics['miou']:.3f} +- {metrics['miou_ci95']:.3f} (95 %, images)  "
        f"pixel accuracy {metrics['pa']:.3f}  mean accuracy {metrics['mpa']:.3f}  FWIoU "
        f"{metrics['fwiou']:.3f}  boundary F {metrics['boundary_f']:.3f}  {(time.monotonic() - begun) / 60:.1f} min, "
        f"{(time.process_time() - worked) / 60:.1f} min of one core",
        flush=True,
    )
    return metrics


if __name__ == "__main__":
    sys.exit(main())
