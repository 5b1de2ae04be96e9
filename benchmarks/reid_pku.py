"""People between two cameras: a colour histogram, frozen features with each metric, and embeddings that are trained.

    python benchmarks/reid_pku.py FOLDER [--splits 10] [--only frozen baseline ...] [--set KEY=VALUE ...]

FOLDER has a folder each person with files CAMERA_VIEW.png (PKU-Reid). Half of the persons are learned from and the
others scored, ten draws, the same for every row; images of camera 1 ask those of camera 2. Means over the draws and 95
% intervals (Student's t). Trained rows take the last epoch; nothing is chosen by what is scored.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from adapters.reid.data.trials import resolve_trials
from adapters.reid.run.scoring import Side, score
from adapters.reid.task import ReidData, ReidEval
from studio import run
from studio.core.home import Home
from studio.data import read_image
from studio.data.items import Dataset
from studio.metrics import mean_ci95

ROWS = {
    "frozen, cosine": {"method": "reid/frozen", "params.metric": "cosine"},
    "frozen, whitening": {"method": "reid/frozen", "params.metric": "whitening"},
    "frozen, KISSME": {"method": "reid/frozen", "params.metric": "kissme"},
    "baseline": {"method": "reid/baseline", "train.epochs": 12, "train.batch_size": 32},
    "arcface": {"method": "reid/arcface", "train.epochs": 12, "train.batch_size": 32},
    "circle": {"method": "reid/circle", "train.epochs": 12, "train.batch_size": 32},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--camera", default="01", help="the camera that asks")
    parser.add_argument("--size", type=int, default=128, help="height of the input; the width is half of it")
    parser.add_argument("--only", nargs="*", default=[], help="rows whose names begin so")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    asked = parser.parse_args()
    spec = f"reid:{Path(asked.folder).resolve()}?layout=pku"
    wanted = lambda name: not asked.only or any(name.startswith(start) for start in asked.only)  # noqa: E731
    print(f"{'':20} rank 1          mAP             mINP    minutes (of one core)")
    if wanted("histogram"):
        histogram(spec, asked.splits, asked.camera)
    shared = {
        "data.train": spec, "data.aspect": 2.0, "model.image_size": asked.size, "eval.splits": asked.splits,
        "eval.query_cameras": [asked.camera],
    }  # fmt: skip
    for name, keys in ROWS.items():
        if wanted(name):
            trained(name, {**shared, **keys, **dict(pair.split("=", 1) for pair in asked.set)})


def histogram(spec: str, splits: int, camera: str) -> None:
    """Joint histograms of hue, saturation and value, 8 bins each, of the whole image, by Hellinger's distance."""
    begun = time.monotonic()
    settings = ReidEval(splits=splits, query_cameras=[camera])
    rankings = [
        score(Side(colours(trial.query), trial.query), Side(colours(trial.gallery), trial.gallery), settings, 0).ranking
        for trial in resolve_trials(ReidData(train=spec), settings, 0)
    ]
    numbers = [mean_ci95(np.array([getter(each) for each in rankings]))
               for getter in (lambda each: each.rank(1), lambda each: each.map, lambda each: each.minp)]  # fmt: skip
    row("colour histogram", *numbers, (time.monotonic() - begun) / 60, float("nan"))


def colours(dataset: Dataset) -> np.ndarray:
    counts = []
    for item in dataset.items:
        pixels = np.asarray(read_image(item.source, item.name).convert("HSV"), np.float64).reshape(-1, 3)
        bins = np.histogramdd(pixels, bins=8, range=[(0, 256)] * 3)[0].reshape(-1)
        counts.append(np.sqrt(bins / bins.sum()))
    return np.array(counts, np.float32)


def trained(name: str, keys: dict) -> None:
    begun, worked = time.monotonic(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        metrics = run("reid-quick", keys, home=Home.find(Path(folder))).metrics
    numbers = [(metrics[key], metrics.get(f"{key}_ci95", float("nan"))) for key in ("rank1", "map", "minp")]
    row(name, *numbers, (time.monotonic() - begun) / 60, (time.process_time() - worked) / 60)


def row(name: str, first: tuple, mean: tuple, last: tuple, minutes: float, of_a_core: float) -> None:
    print(
        f"{name:20} {100 * first[0]:5.1f} +- {100 * first[1]:4.1f}   {100 * mean[0]:5.1f} +- {100 * mean[1]:4.1f}   "
        f"{100 * last[0]:5.1f}   {minutes:5.1f} ({of_a_core:.1f})", flush=True,
    )  # fmt: skip


if __name__ == "__main__":
    main()
