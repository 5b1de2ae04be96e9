"""Nearest neighbours in a million rows: time of one query, recall beside the exact ten, time and memory to build.

    python benchmarks/neighbours.py ROWS.npy --make 1000000 --photos FOLDER [FOLDER ...]
    python benchmarks/neighbours.py ROWS.npy --index INDEX --rows 1000000

The first makes the rows: squares cut out of photos at random places and sizes, some mirrored, scaled to 16 x 16 pixels
in colour, centred and of length one (768 numbers). No network is asked, so that a million take minutes. The second
builds an index over the first of them and asks it for squares that are not in it, one at a time; recall is the part of
the ten found that are as near as the exact ten. Exact search is timed over the same rows.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
from PIL import Image

from studio.data.features.neighbours import Approximate, Exact
from studio.data.files.images import SUFFIXES, read_image

SIDE, PART, ASKED, TOP = 16, 10_000, 200, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--make", type=int, metavar="ROWS")
    parser.add_argument("--photos", nargs="+", type=Path)
    parser.add_argument("--index", type=Path)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    args = parser.parse_args()
    if args.make:
        return make(args.file, args.make, args.photos)
    features = np.load(args.file, mmap_mode="r")
    for count in args.rows:
        print(json.dumps(measure(features[:count], features[-ASKED:], args.index)), flush=True)


def measure(rows: np.ndarray, queries: np.ndarray, folder: Path) -> dict[str, object]:
    begun = time.perf_counter()
    _, right = Exact(rows).search(queries, TOP)
    exact_s = time.perf_counter() - begun
    before, begun = files_mb(folder), time.perf_counter()
    index = Approximate(rows, folder)
    ready_s, written = time.perf_counter() - begun, files_mb(folder) - before
    index.search(queries[:5], TOP)
    times, hits = [], 0
    for query, distances in zip(queries, right, strict=True):
        begun = time.perf_counter()
        _, found = index.search(query[None], TOP)
        times.append(time.perf_counter() - begun)
        hits += int((found[0] <= distances[-1] * (1 + 1e-6) + 1e-9).sum())
    return {
        "rows": len(rows), "dim": rows.shape[1], "queries": len(queries), "lists": index.index.nlist,
        "built_s" if written else "opened_s": round(ready_s, 1), "index_mb": round(files_mb(folder)),
        "recall": hits / right.size, "median_ms": round(1e3 * statistics.median(times), 3),
        "p95_ms": round(1e3 * float(np.quantile(times, 0.95)), 3),
        "exact_ms_each_of_many": round(1e3 * exact_s / len(queries), 2),
    }  # fmt: skip


def files_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.glob("*")) / 2**20


def make(file: Path, rows: int, folders: list[Path]) -> None:
    """Rows float32 [rows + ASKED, 768]."""
    features = np.lib.format.open_memmap(file, "w+", np.float32, (rows + ASKED, SIDE * SIDE * 3))
    photos = [small(path) for folder in folders for path in photos_in(folder)]
    for start in range(0, len(features), PART):
        draw = np.random.default_rng(start)
        squares = np.stack([square(photos, draw) for _ in range(start, min(start + PART, len(features)))])
        centred = squares.reshape(len(squares), -1).astype(np.float32)
        centred -= centred.mean(1, keepdims=True)
        features[start : start + len(squares)] = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1)


def photos_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def small(path: Path) -> Image.Image:
    image = read_image(path, min_side=128)
    image.thumbnail((192, 192))
    return image


def square(photos: list[Image.Image], draw: np.random.Generator) -> np.ndarray:
    photo = photos[draw.integers(len(photos))]
    side = int(draw.integers(min(SIDE, *photo.size), min(photo.size) + 1))
    left, top = (int(draw.integers(0, length - side + 1)) for length in photo.size)
    small = photo.resize((SIDE, SIDE), Image.Resampling.BOX, (left, top, left + side, top + side))
    pixels = np.asarray(small)
    return pixels[:, ::-1] if draw.integers(2) else pixels


if __name__ == "__main__":
    main()
