"""Embedding a folder of photos beside a bare forward loop over tensors already in memory; then a second run.

    python benchmarks/embed_folder.py [FOLDER] [--backbone pip/tf_efficientnet_lite0] [--rounds 5]

Without FOLDER, 512 JPEGs of 640 x 480 are made. Everything a run does is in its time: listing, hashing, decoding,
writing the cache. Speeds are folder / bare (the promise: at least 0.9), paired in turn, as medians. There are two
bare loops: as it comes, and with freed memory kept as a run does (`studio.device.allocator`), which is quicker. The
time of a second run is given as a part of the first's (the promise: under 0.1).
"""

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from studio.core import registry
from studio.core.home import Home
from studio.data import open_data, read_image
from studio.data.features.cache import BATCH, extract
from studio.data.transforms import normalize, to_input
from studio.device.allocator import keep_freed_memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--backbone", default="pip/tf_efficientnet_lite0")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        spec = f"folder:{args.folder or make_folder(Path(scratch) / 'photos')}"
        homes = (Home.find(Path(scratch) / f"home{number}") for number in itertools.count())
        measure(spec, args.backbone, args.rounds, homes)


def measure(spec: str, name: str, rounds: int, homes) -> None:
    backbone = registry.backbone(name)
    batches = in_memory(spec, backbone)
    count = sum(map(len, batches))
    plain = min(seconds(bare, batches, backbone) for _ in range(3))
    keep_freed_memory()
    seconds(bare, batches, backbone)
    loops, firsts, agains = [], [], []
    for _ in range(rounds):
        home = next(homes)
        loops.append(seconds(bare, batches, backbone))
        firsts.append(seconds(embed, spec, backbone, home))
        agains.append(seconds(embed, spec, backbone, home))
        print(f"bare {loops[-1]:.2f} s, folder {firsts[-1]:.2f} s, again {agains[-1]:.3f} s", flush=True)
    paired = statistics.median(loop / first for loop, first in zip(loops, firsts, strict=True))
    again = statistics.median(second / first for second, first in zip(agains, firsts, strict=True))
    print(f"{count} images, {name}, {torch.get_num_threads()} threads")
    print(f"folder / bare loop as it comes ({plain:.2f} s): {plain / statistics.median(firsts):.2f}")
    print(f"folder / bare loop with memory kept: {paired:.2f}")
    print(f"second / first run: {again:.3f}")


def make_folder(root: Path, count: int = 512) -> Path:
    draw = np.random.default_rng(0)
    for number in range(count):
        small = Image.fromarray(draw.integers(0, 255, (24, 32, 3), np.uint8))
        path = root / f"class{number % 4}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        small.resize((640, 480), Image.Resampling.BICUBIC).save(path, quality=90)
    return root


def in_memory(spec: str, backbone) -> list[torch.Tensor]:
    items = open_data(spec).items
    images = torch.stack([to_input(read_image(item.source, item.name), backbone.preprocess) for item in items])
    return [normalize(part, backbone.preprocess) for part in images.split(BATCH)]


def bare(batches: list[torch.Tensor], backbone) -> None:
    with torch.inference_mode():
        for batch in batches:
            backbone.embed(batch)


def embed(spec: str, backbone, home: Home) -> None:
    extract(open_data(spec), backbone, home=home)


def seconds(work: Callable, *given) -> float:
    begun = time.perf_counter()
    work(*given)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
