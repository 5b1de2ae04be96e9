"""Embedding many small images beside a bare forward loop over tensors in memory: speed, and memory as it goes.

    python benchmarks/embed_many.py [--images 100000] [--pixels 32] [--folder FOLDER] [--backbone studio/conv4]

Images are JPEGs of random content, made in FOLDER unless they are there. A bare loop runs over 4,096 of them, decoded
before, ahead of the embedding and after it; speed is embedding / mean of the two. Everything `launch.py embed` does
is in its time but opening the folder, which is said apart. Memory is this process's, at each quarter of the images.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import torch
from PIL import Image

from studio.core import registry
from studio.core.home import Home
from studio.data import open_data, read_image
from studio.data.features import embedding
from studio.data.features.cache import BATCH, forward_for
from studio.data.transforms import to_input

BARE = 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--pixels", type=int, default=32)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--backbone", default="studio/conv4")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.folder or Path(scratch) / "photos"
        make_folder(folder, args.images, args.pixels)
        print(json.dumps(measure(folder, args.backbone, args.pixels, Path(scratch))), flush=True)


def measure(folder: Path, name: str, pixels: int, scratch: Path) -> dict[str, object]:
    network = registry.backbone(name, image_size=pixels).eval()
    begun = time.perf_counter()
    dataset = open_data(f"folder:{folder}")
    opened_s = time.perf_counter() - begun
    home, memory, done = Home.find(scratch / "home"), [megabytes()], 0

    def watch(images: int) -> None:
        nonlocal done
        before, done = done, done + images
        if before * 4 // len(dataset) != done * 4 // len(dataset):
            memory.append(megabytes())

    first = bare(dataset, network)
    begun = time.perf_counter()
    embedding.begin(scratch / "out", dataset.spec, network, name, "fp32")
    embedding.embed_part(dataset, scratch / "out", network, home=home, on_progress=watch)
    made = embedding.finish(dataset, scratch / "out")
    seconds = time.perf_counter() - begun
    loop = (first + bare(dataset, network)) / 2
    begun = time.perf_counter()
    embedding.embed_part(dataset, scratch / "out", network, home=home)
    return {
        "images": len(made), "backbone": name, "pixels": pixels, "threads": torch.get_num_threads(),
        "open_s": round(opened_s, 1), "embed_s": round(seconds, 1), "images_per_s": round(len(made) / seconds),
        "bare_per_s": round(loop), "embed / bare": round(len(made) / seconds / loop, 3),
        "again_s": round(time.perf_counter() - begun, 1), "memory_mb": memory,
    }  # fmt: skip


def bare(dataset, network) -> float:
    """Images a second of the forward pass alone."""
    items = dataset.items[:BARE]
    images = torch.stack([to_input(read_image(item.source, item.name), network.preprocess) for item in items])
    forward = forward_for(network, "cpu", "fp32", len(dataset))
    forward(images[:BATCH])
    begun = time.perf_counter()
    for batch in images.split(BATCH):
        forward(batch)
    return len(images) / (time.perf_counter() - begun)


def megabytes() -> int:
    return round(psutil.Process().memory_info().rss / 2**20)


def make_folder(root: Path, count: int, pixels: int) -> None:
    draw = np.random.default_rng(0)
    for number in range(count):
        path = root / f"class{number % 10}" / f"{number:07d}.jpg"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            small = Image.fromarray(draw.integers(0, 255, (8, 8, 3), np.uint8))
            small.resize((pixels, pixels), Image.Resampling.BICUBIC).save(path, quality=90)


if __name__ == "__main__":
    main()
