"""Individuals without labels: memory of Jaccard distances, and what clusters are worth beside labels and none.

    python benchmarks/reid_clusters.py jaccard [--images 20000] [--width 256] [--which blocks]
    python benchmarks/reid_clusters.py places [--methods supervised,direct,mmt] [--seeds 0 1 2] [--keep FOLDER]

`jaccard` prints time and peak memory of the dense definition (tests/adapters/reid/slow_jaccard.py) and of ours on the
same features in a process each, over what it had before (--which for one alone). `places` learns drawn individuals of
place 1 with labels, and of place 0 without; half of place 0 is scored, by cameras that place 1 never saw. Methods
that adapt start from the network of `direct`. With --keep an interrupted benchmark goes on where it was.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

CLUSTERS = {"k1": 10, "k2": 3, "least": 3, "by_camera": "mean"}
NUMBERS = ("rank1", "map", "direct_rank1", "direct_map")
ADAPTING = ("cluster-contrast", "spcl", "mmt")


def features(images: int, width: int) -> np.ndarray:
    """float32 [images, width]: 20 noisy images of each of images / 20 individuals."""
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(images // 20, width))
    return (centres[np.arange(images) % len(centres)] + draw.normal(size=(images, width))).astype(np.float32)


def jaccard(args: argparse.Namespace) -> None:
    for which in ("blocks", "dense"):
        command = [sys.executable, __file__, "jaccard", "--which", which]
        subprocess.run([*command, "--images", str(args.images), "--width", str(args.width)], check=True)


def jaccard_once(args: argparse.Namespace) -> None:
    import torch

    from adapters.reid.jaccard import jaccard_within, neighbourhoods
    from tests.adapters.reid.slow_jaccard import dense_jaccard

    torch.set_num_threads(1)
    given = features(args.images, args.width)
    before, begun = peak_mb(), time.process_time()
    if args.which == "dense":
        near = int((dense_jaccard(given, 30, 6) <= 0.62).sum())
    else:
        near = jaccard_within(neighbourhoods(torch.from_numpy(given)), 0.62).nnz
    seconds, memory = time.process_time() - begun, peak_mb() - before
    print(
        f"{args.which}, {args.images} images: {memory:.0f} MB, {seconds:.0f} s, {near} distances up to 0.62", flush=True
    )


def peak_mb() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


class Rows:
    """What was measured so far, a line of JSON each; a row that is there is not measured again."""

    def __init__(self, home: Any, settings: dict[str, str]) -> None:
        """`settings` are laid over every recipe that trains."""
        self.home, self.settings, self.path = home, settings, home.root / "rows.jsonl"
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        self.rows = {(row["name"], row["seed"]): row for row in map(json.loads, lines)}

    def measure(self, name: str, seed: int, recipe: dict[str, Any]) -> dict[str, Any]:
        from studio import run

        if (name, seed) not in self.rows:
            begun, settings = time.monotonic(), {} if name == "frozen" else self.settings
            whole = {**recipe, "task": "reid", "device": "cpu"}
            result = run(whole, {"train.seed": seed, **settings}, home=self.home)
            numbers = {key: result.metrics.get(key) for key in NUMBERS}
            row = {"name": name, "seed": seed, **numbers, "checkpoint": result.checkpoint}
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            self.rows[name, seed] = row
            shown = ", ".join(f"{key} {value:.3f}" for key, value in numbers.items() if value is not None)
            print(f"{name}, seed {seed}: {shown}; {time.monotonic() - begun:.0f} s", flush=True)
        return self.rows[name, seed]

    def summary(self, names: list[str]) -> None:
        """Mean and 95 % interval over the seeds, in percent."""
        from studio.metrics import mean_ci95

        for name in names:
            rows = [row for (named, _), row in sorted(self.rows.items()) if named == name]
            cells = []
            for key in NUMBERS:
                values = np.array([100 * row[key] for row in rows if row[key] is not None])
                if len(values) > 1:
                    mean, half = mean_ci95(values)
                    cells.append(f"{key} {mean:.1f} ± {half:.1f}")
            print(f"{name}, {len(rows)} seeds: {', '.join(cells)}", flush=True)


def places(args: argparse.Namespace, rows: Rows) -> None:
    begun = time.monotonic()
    here, there = "builtin:individuals?individuals=40&place=0", "builtin:individuals?individuals=24&place=1"
    model = {"backbone": "pip/tf_efficientnet_lite0", "image_size": args.size or 48}
    train = {"batch_size": 64, "lr": 0.001, "erasing": 0, "workers": 1, "epochs": args.epochs}
    across = {"model": model, "train": train, "data": {"source": there, "target": here}}
    without = {"model": model, "train": train, "data": {"target": here}}
    recipes = {
        "frozen": {
            "model": model, "method": "reid/frozen", "data": {"train": here}, "params": {"metric": "cosine"},
            "train": {"workers": 1},
        },
        "supervised": {**without, "method": "reid/baseline", "data": {"train": here}},
        "direct": {**across, "method": "reid/baseline"},
        "mixstyle": {**across, "method": "reid/mixstyle"},
        "spgan": {**across, "method": "reid/spgan"},
        **{name: {**without, "method": f"reid/{name}", "params": dict(CLUSTERS)} for name in ADAPTING},
        "no-source": {**without, "method": "reid/cluster-contrast", "params": dict(CLUSTERS)},
    }  # fmt: skip
    names = args.methods.split(",") if args.methods else list(recipes)
    for seed in args.seeds:
        for name in names:
            if time.monotonic() - begun > 60 * args.minutes:
                break
            recipe = recipes[name]
            if name in ADAPTING:
                start = rows.measure("direct", seed, recipes["direct"])["checkpoint"]
                recipe = {**recipe, "model": {**model, "checkpoint": start}}
            rows.measure(name, seed, recipe)
    rows.summary(names)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["jaccard", "places"])
    parser.add_argument("--which", choices=["blocks", "dense"], help="of jaccard, one alone")
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--methods", default="", help="rows, by comma")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="of every recipe that trains")
    parser.add_argument("--minutes", type=float, default=1e9, help="ends with the row that is then at work")
    parser.add_argument("--size", type=int, help="height of images in pixels")
    parser.add_argument("--keep", type=Path, help="home folder to keep")
    args = parser.parse_args()
    if args.what == "jaccard":
        return jaccard_once(args) if args.which else jaccard(args)
    import torch

    from studio.core.home import Home

    torch.set_num_threads(1)
    with nullcontext(args.keep) if args.keep else tempfile.TemporaryDirectory() as folder:
        places(args, Rows(Home.find(folder), dict(pair.split("=", 1) for pair in args.set)))
    return None


if __name__ == "__main__":
    main()
