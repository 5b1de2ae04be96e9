"""Embedding many small images beside a bare forward loop over tensors in memory: speed, and memory as it goes.

    python benchmarks/embed_many.py OUT [--images 100000] [--pixels 32] [--folder FOLDER] [--backbone studio/conv4]
    python benchmarks/embed_many.py OUT --images 100000 --minutes 7      # so much of it; given again it goes on

Images are JPEGs of random content, made in FOLDER (OUT/photos) unless they are there. They are embedded in stretches
of some 20,000, and after each two peers go over 4,096 images: `bare`, the forward loop alone over tensors that were
decoded before, and `plain`, a loop that reads and decodes too (Pillow, torchvision's transform, the same network). A
line a stretch in OUT/stretches.jsonl. What is said at the end is the sum of all: speed over that of each peer by the
clock, and over bare by the processor time of this process; memory at each stretch. Everything `launch.py embed` does
is in its time, reading and decoding too, but opening the folder, which is said apart.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from PIL import Image
from torchvision.transforms import v2

from studio.core import registry
from studio.core.home import Home
from studio.data import open_data, read_image
from studio.data.features import embedding
from studio.data.features.cache import BATCH, SHARD_ROWS, Forward
from studio.data.transforms import to_input

CHUNKS = 5  # of SHARD_ROWS images: a stretch
PEERS = 4096  # images that the peers go over after each


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--pixels", type=int, default=32)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--backbone", default="studio/conv4")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so many; the same command goes on")
    args = parser.parse_args()
    folder, end = args.folder or args.out / "photos", time.monotonic() + 60 * args.minutes
    make_folder(folder, args.images, args.pixels)
    begun = time.perf_counter()
    dataset = open_data(f"folder:{folder}")
    opened_s = time.perf_counter() - begun
    rows = embed(dataset, args, end)
    print(json.dumps({"open_s": round(opened_s, 1), **(summary(rows) if rows else {})}), flush=True)


def embed(dataset: Any, args: argparse.Namespace, end: float) -> list[dict[str, Any]]:
    """A row for each stretch, those of earlier calls included."""
    torch.manual_seed(0)  # the weights of an untrained backbone
    network = registry.backbone(args.backbone, image_size=args.pixels).eval()
    home, out, file = Home.find(args.out / "home"), args.out / "features", args.out / "stretches.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    embedding.begin(out, dataset.spec, network, args.backbone, "fp32")
    chunks = -(-len(dataset) // SHARD_ROWS)
    stretches, forward = max(1, chunks // CHUNKS), Forward(network, "cpu", images=len(dataset))
    bare, plain = bare_loop(dataset, forward), plain_loop(dataset, forward)
    for number in range(len(rows), stretches):
        if time.monotonic() > end:
            return rows
        images = sum(min(SHARD_ROWS, len(dataset) - chunk * SHARD_ROWS) for chunk in range(number, chunks, stretches))
        bound = {"home": home, "part": number, "parts": stretches}
        embed_s, embed_cpu_s = timed(lambda bound=bound: embedding.embed_part(dataset, out, network, **bound))
        bare_s, bare_cpu_s = timed(bare)
        plain_s, _ = timed(plain)
        rows.append({
            "images": images, "embed_s": embed_s, "embed_cpu_s": embed_cpu_s, "bare_s": bare_s, "plain_s": plain_s,
            "bare_cpu_s": bare_cpu_s, "memory_mb": round(psutil.Process().memory_info().rss / 2**20),
        })  # fmt: skip
        with open(file, "a") as lines:
            lines.write(json.dumps(rows[-1]) + "\n")
    finish_s, _ = timed(lambda: embedding.finish(dataset, out))
    print(json.dumps({"finish_s": round(finish_s, 1)}), flush=True)
    return rows


def bare_loop(dataset: Any, forward: Forward) -> Callable[[], None]:
    """The forward pass alone over images that are decoded."""
    items, look = dataset.items[:PEERS], forward.backbone.preprocess
    images = torch.stack([to_input(read_image(item.source, item.name), look) for item in items])
    forward(images[:BATCH])

    def loop() -> None:
        for batch in images.split(BATCH):
            forward(batch)

    return loop


def plain_loop(dataset: Any, forward: Forward) -> Callable[[], None]:
    """Files are opened, decoded and resized one by one between the batches."""
    files, look = [item.source.path for item in dataset.items[:PEERS]], forward.backbone.preprocess
    side = math.floor(look.image_size / look.crop_pct)
    fit = v2.Compose([
        v2.PILToTensor(), v2.Resize(side, v2.InterpolationMode(look.interpolation)), v2.CenterCrop(look.image_size),
    ])  # fmt: skip

    def loop() -> None:
        for first in range(0, len(files), BATCH):
            forward(torch.stack([fit(Image.open(file).convert("RGB")) for file in files[first : first + BATCH]]))

    return loop


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds by the clock, and of processor time."""
    begun, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - begun, time.process_time() - cpu


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    total = {key: sum(row[key] for row in rows) for key in rows[0]}
    speed = {name: total["images"] / total[f"embed_{name}"] for name in ("s", "cpu_s")}
    bare = {name: PEERS * len(rows) / total[f"bare_{name}"] for name in ("s", "cpu_s")}
    plain = PEERS * len(rows) / total["plain_s"]
    return {
        "images": total["images"], "threads": torch.get_num_threads(), "images_per_s": round(speed["s"]),
        "bare_per_s": round(bare["s"]), "plain_per_s": round(plain),
        "embed / bare, clock": round(speed["s"] / bare["s"], 3),
        "embed / bare, processor": round(speed["cpu_s"] / bare["cpu_s"], 3),
        "embed / plain, clock": round(speed["s"] / plain, 3), "memory_mb": [row["memory_mb"] for row in rows],
    }  # fmt: skip


def make_folder(root: Path, count: int, pixels: int) -> None:
    draw = np.random.default_rng(0)
    for number in range(count):
        path = root / f"class{number % 10}" / f"{number:07d}.jpg"
        small = Image.fromarray(draw.integers(0, 255, (8, 8, 3), np.uint8))
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            small.resize((pixels, pixels), Image.Resampling.BICUBIC).save(path, quality=90)


if __name__ == "__main__":
    main()
