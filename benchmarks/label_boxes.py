"""Drawing boxes replayed on data whose boxes are hidden: AP50 on other images against images labelled, rule by rule.

    python benchmarks/label_boxes.py --data voc:../shared/data/bccd --seeds 0 1 2 3 --out rows.jsonl

A detector first learns composed scenes, once, at `--scenes` pixels. After each of `--labels` it goes on from there with
what is labelled so far, its backbone as it is (without `--tuned`). `unsure` sums over an image how unsure the last
detector is of each box (Brust, Käding, Denzler 2019: the margin). The rest is said in benchmarks/label_replay.py.
"""

import argparse
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.label_replay import parser, replay
from studio import load_checkpoint, run
from studio.core.home import Home
from studio.data import open_data
from studio.data.files.images import read_image
from studio.data.items import Dataset
from studio.data.writers.coco import write

BATCH = 4
FROZEN = 1000  # stages, so all that there are


def main() -> None:
    out = Path("label-boxes.jsonl")
    asked = parser(__doc__, data="voc:../shared/data/bccd", pool=120, size=128, out=out)
    asked.add_argument("--steps", type=int, default=60, help="of four images, from the detector of the scenes on")
    asked.add_argument("--tuned", action="store_true", help="the backbone learns too: better, and slower")
    asked.add_argument("--scenes", type=int, default=128, help="pixels a side of the scenes that are learned first")
    args, home = asked.parse_args(), Home.find()
    data = open_data(args.data)
    replay(args, data, Detector(args, data, detector_of_scenes(args, home), home), home)


def detector_of_scenes(args: argparse.Namespace, home: Home) -> str:
    """The checkpoint that all replays go on from."""
    kept = args.out.with_suffix(".base")
    if not kept.exists():
        values = recipe(args, args.scenes, 0, None)
        values["data"] = {"train": f"builtin:scenes?images=200&size={args.scenes}&classes=3"}
        values["train"] |= {"epochs": 10, "seed": 0}
        kept.write_text(run(values, home=home).checkpoint or "")
    return kept.read_text()


def recipe(args: argparse.Namespace, size: int, freeze: int, base: str | None) -> dict[str, Any]:
    """Without data and epochs."""
    return {
        "task": "detect", "method": "detect/fcos", "device": "cpu",
        "params": {"width": 64, "depth": 1, "freeze": freeze},
        "model": {"backbone": args.backbone, "image_size": size, "checkpoint": base},
        "train": {"batch_size": BATCH, "clip": 5.0}, "eval": {"selection": "last"},
    }  # fmt: skip


class Detector:
    """A run of detection for each number of images."""

    def __init__(self, args: argparse.Namespace, data: Dataset, base: str, home: Home) -> None:
        self.args, self.data, self.base, self.home = args, data, base, home

    def learn(self, rows: list[int], scored: list[int], seed: int) -> float:
        values = recipe(self.args, self.args.size, 0 if self.args.tuned else FROZEN, self.base)
        epochs = math.ceil(self.args.steps / math.ceil(len(rows) / BATCH))  # over which the learning rate falls
        values["train"] |= {"epochs": epochs, "max_steps": self.args.steps, "seed": seed}
        with tempfile.TemporaryDirectory() as folder:
            parts = {"train": rows, "val": rows[:1], "test": scored}  # val is looked at, and chooses nothing
            values["data"] = {name: self._written(part, Path(folder) / name) for name, part in parts.items()}
            result = run(values, home=self.home)
        if result.status != "finished":
            sys.exit(f"seed {seed}, {len(rows)} images: {result.status}; the next call begins this row again.")
        self.predictor = load_checkpoint(result.checkpoint, self.home).predictor
        return result.metrics["map_50"]

    def doubt(self, row: int) -> float:
        item = self.data.items[row]
        (boxes,) = self.predictor.boxes([read_image(item.source, item.name)])
        return float((1 - np.abs(2 * boxes.scores - 1)).sum())

    def drawn(self, row: int) -> int:
        return len(self.data.items[row].boxes)

    def _written(self, rows: list[int], folder: Path) -> str:
        write(self.data.subset(rows), folder)
        return f"coco:{folder}/annotations.json?images={folder}/images"


if __name__ == "__main__":
    main()
