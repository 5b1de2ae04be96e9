"""Embedding a folder of photos beside a bare forward loop over tensors already in memory; then a second run.

    python benchmarks/embed_folder.py [FOLDER] [--backbone pip/tf_efficientnet_lite0] [--rounds 3]

Without FOLDER, 256 JPEGs of 640 x 480 are made. Prints, round by round and as medians, the ratio of speeds
(folder / bare; the promise: at least 0.9) and of times (second run / first; the promise: under 0.1).
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from studio.core import registry
from studio.core.home import Home
from studio.data import open_data, read_image
from studio.data.features import BATCH, extract
from studio.data.transforms import normalize, to_input


def make_folder(root: Path, count: int = 256) -> Path:
    draw = np.random.default_rng(0)
    for number in range(count):
        small = Image.fromarray(draw.integers(0, 255, (24, 32, 3), np.uint8))
        path = root / f"class{number % 4}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        small.resize((640, 480), Image.Resampling.BICUBIC).save(path, quality=90)
    return root


def bare(batches, backbone):
    begun = time.perf_counter()
    with torch.inference_mode():
        for batch in batches:
            backbone.embed(batch)
    return time.perf_counter() - begun


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--backbone", default="pip/tf_efficientnet_lite0")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.folder or make_folder(Path(scratch) / "photos")
        dataset = open_data(f"folder:{folder}")
        backbone = registry.backbone(args.backbone)
        images = [to_input(read_image(item.source, item.name), backbone.preprocess) for item in dataset.items]
        batches = [
            normalize(torch.stack(images[i : i + BATCH]), backbone.preprocess) for i in range(0, len(images), BATCH)
        ]
        bare(batches[:1], backbone)
        speeds, repeats = [], []
        for number in range(args.rounds):
            home = Home.find(Path(scratch) / f"home{number}")
            plain = bare(batches, backbone)
            begun = time.perf_counter()
            extract(open_data(f"folder:{folder}"), backbone, home=home)
            first = time.perf_counter() - begun
            begun = time.perf_counter()
            extract(open_data(f"folder:{folder}"), backbone, home=home)
            second = time.perf_counter() - begun
            speeds.append(plain / first)
            repeats.append(second / first)
            print(f"round {number}: bare {plain:.2f} s, folder {first:.2f} s, again {second:.3f} s", flush=True)
    print(f"{len(images)} images, {args.backbone}: folder / bare speed {statistics.median(speeds):.3f}, "
          f"second / first time {statistics.median(repeats):.4f}")  # fmt: skip


if __name__ == "__main__":
    main()
