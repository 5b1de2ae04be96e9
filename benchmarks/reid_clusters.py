"""Individuals without labels: memory of Jaccard distances, and what clusters are worth beside labels and none.

    python benchmarks/reid_clusters.py jaccard [--images 20000] [--width 256]
    python benchmarks/reid_clusters.py places [--methods supervised,direct,cluster-contrast,spcl,mmt] [--seeds 3]
    python benchmarks/reid_clusters.py cameras [--seeds 3]
    python benchmarks/reid_clusters.py pku [--data ../shared/data/reid_pku] [--splits 10]

`jaccard` prints time and peak memory of the dense definition (tests/adapters/reid/slow_jaccard.py) and of ours on the
same features in a process each, over what it had before (--which for one alone). `places` learns drawn
individuals of place 1 with labels and of place 0 without, and scores others of place 0; `cameras` trains with and
without MixStyle on place 1 and scores place 0, whose cameras were never seen; `pku` learns half of the persons without
labels and scores the others, camera 1 to 2. --methods chooses rows, so that a table can be measured in several calls.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

BACKBONE = {"backbone": "pip/tf_efficientnet_lite0", "image_size": 64}
TRAIN = {"batch_size": 64, "lr": 0.0005, "erasing": 0, "workers": 1}
CLUSTERS = {"k1": 10, "k2": 3, "least": 3}
HERE, THERE = ("builtin:individuals?individuals={count}&place=" + place for place in "01")


def features(images: int, width: int) -> np.ndarray:
    """float32 [images, width]: 20 noisy images of each of images / 20 individuals."""
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(images // 20, width))
    return (centres[np.arange(images) % len(centres)] + draw.normal(size=(images, width))).astype(np.float32)


def jaccard(args: argparse.Namespace) -> None:
    for which in ("blocks", "dense"):
        subprocess.run(
            [sys.executable, __file__, "jaccard", "--which", which, "--images", str(args.images), "--width",
             str(args.width)], check=True,
        )  # fmt: skip


def jaccard_once(args: argparse.Namespace) -> None:
    import resource

    import torch

    from adapters.reid.jaccard import jaccard_within, neighbourhoods
    from tests.adapters.reid.slow_jaccard import dense_jaccard

    torch.set_num_threads(1)
    given = features(args.images, args.width)
    peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10  # noqa: E731
    before, begun = peak(), time.process_time()
    if args.which == "dense":
        near = dense_jaccard(given, 30, 6)
        stored = int((near <= 0.62).sum())
    else:
        stored = jaccard_within(neighbourhoods(torch.from_numpy(given)), 0.62).nnz
    seconds = time.process_time() - begun
    print(
        f"{args.which}: {args.images} images, {peak() - before:.0f} MB more than before, {seconds:.0f} s of one core, "
        f"{stored} distances up to 0.62", flush=True,
    )  # fmt: skip


def measured(name: str, recipe: dict[str, Any], seeds: range, home: Any) -> None:
    """A row: rank 1 and mAP over seeds, beside what they were before adapting."""
    from studio import run
    from studio.metrics import mean_ci95

    begun, rows = time.monotonic(), []
    for seed in seeds:
        result = run({**recipe, "task": "reid", "device": "cpu"}, {"train.seed": seed}, home=home)
        rows.append({key: result.metrics.get(key) for key in ("rank1", "map", "direct_rank1", "direct_map")})
    cells = []
    for key in rows[0]:
        if rows[0][key] is not None:
            mean, half = mean_ci95(np.array([100 * row[key] for row in rows]))
            each = ", ".join(f"{100 * row[key]:.1f}" for row in rows)
            cells.append(f"{key} {mean:.1f} ± {half:.1f} ({each})")
    print(f"{name}: {'; '.join(cells)}; {(time.monotonic() - begun) / len(rows):.0f} s a run", flush=True)


def places(args: argparse.Namespace, home: Any) -> None:
    here, there = HERE.format(count=args.individuals), THERE.format(count=args.individuals)
    train = {**TRAIN, "epochs": args.epochs}
    labels = {"model": BACKBONE, "train": train, "method": "reid/baseline"}
    recipes = {
        "frozen": {**labels, "method": "reid/frozen", "data": {"train": here}, "params": {"metric": "cosine"},
                   "train": {"workers": 1}},
        "supervised": {**labels, "data": {"train": here}},
        "direct": {**labels, "data": {"source": there, "target": here}},
    }  # fmt: skip
    for name in ("cluster-contrast", "spcl", "mmt"):
        without = {"model": BACKBONE, "train": train, "method": f"reid/{name}", "params": dict(CLUSTERS)}
        recipes[name] = {**without, "data": {"source": there, "target": here}}
        recipes[f"{name}, no source"] = {**without, "data": {"target": here}}
    wanted = args.methods.split(",") if args.methods else [name for name in recipes if "no source" not in name]
    for name in wanted:
        measured(name, recipes[name], range(args.seeds), home)


def cameras(args: argparse.Namespace, home: Any) -> None:
    here, there = HERE.format(count=args.individuals), THERE.format(count=args.individuals)
    for method in args.methods.split(",") if args.methods else ("baseline", "mixstyle"):
        recipe = {"model": BACKBONE, "method": f"reid/{method}", "data": {"train": there, "test": here}}
        measured(method, {**recipe, "train": {**TRAIN, "epochs": args.epochs}}, range(args.seeds), home)


def pku(args: argparse.Namespace, home: Any) -> None:
    spec = f"reid:{Path(args.data).resolve()}?layout=pku"
    model = {"backbone": "pip/tf_efficientnet_lite0", "image_size": args.size}
    shared = {"model": model, "eval": {"splits": args.splits, "query_cameras": ["1"]}}
    recipes = {
        "frozen": {"method": "reid/frozen", "data": {"train": spec, "aspect": 2.0}, "params": {"metric": "cosine"},
                   "train": {"workers": 1}},
        "cluster-contrast": {
            "method": "reid/cluster-contrast", "data": {"target": spec, "aspect": 2.0}, "params": dict(CLUSTERS),
            "train": {**TRAIN, "batch_size": 32, "epochs": args.epochs},
        },
    }  # fmt: skip
    recipes["by camera"] = {
        **recipes["cluster-contrast"], "params": {**CLUSTERS, "by_camera": True}
    }  # fmt: skip
    for name in args.methods.split(",") if args.methods else ("frozen", "cluster-contrast"):
        measured(name, {**shared, **recipes[name]}, range(1), home)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["jaccard", "places", "cameras", "pku"])
    parser.add_argument("--which", choices=["blocks", "dense"], help="of jaccard, one alone")
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--data", default="../shared/data/reid_pku")
    parser.add_argument("--methods", default="", help="rows, by comma")
    parser.add_argument("--individuals", type=int, default=40, help="of each place")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--size", type=int, default=128, help="height of PKU-Reid's images in pixels")
    args = parser.parse_args()
    if args.what == "jaccard":
        return jaccard_once(args) if args.which else jaccard(args)
    import torch

    from studio.core.home import Home

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        {"places": places, "cameras": cameras, "pku": pku}[args.what](args, Home.find(folder))
    return None


if __name__ == "__main__":
    main()
