"""People between two cameras: a colour histogram, frozen features with each metric, and embeddings that are trained.

    python benchmarks/reid_pku.py FOLDER [--draws 0 1 2] [--only frozen baseline ...] [--keep FOLDER] [--minutes 9]

FOLDER has a folder each person with files CAMERA_VIEW.png (PKU-Reid). Half of the persons are learned from and the
others scored, ten draws, the same for every row; images of camera 1 ask those of camera 2. Means over the draws and 95
% intervals (Student's t). Trained rows take the last epoch; nothing is chosen by what is scored. Rows `without labels`
learn from the same half of the persons and are not told who they are. What they and the baseline left is scored as it
is, and with the mean of each camera taken away. With --keep, what is there already is not measured again; --minutes
ends with the cell that is then at work.
"""

import argparse
import json
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adapters.reid.data.trials import resolve_trials
from adapters.reid.run.scoring import Side, score
from adapters.reid.task import ReidData, ReidEval
from studio import run
from studio.core.home import Home
from studio.data import read_image
from studio.data.items import Dataset
from studio.metrics import mean_ci95

NUMBERS = ("rank1", "map", "minp")
TRAIN = {"train.epochs": 8, "train.batch_size": 32}
CLUSTERS = {"params.k1": 10, "params.k2": 3, "params.least": 3, **TRAIN}
ROWS: dict[str, dict[str, Any]] = {
    "frozen, cosine": {"method": "reid/frozen", "params.metric": "cosine"},
    "frozen, cosine, camera mean": {
        "method": "reid/frozen", "params.metric": "cosine", "eval.camera_statistics": "mean",
    },
    "frozen, whitening": {"method": "reid/frozen", "params.metric": "whitening"},
    "frozen, whitening, camera mean": {
        "method": "reid/frozen", "params.metric": "whitening", "eval.camera_statistics": "mean",
    },
    "frozen, KISSME": {"method": "reid/frozen", "params.metric": "kissme"},
    "baseline": {"method": "reid/baseline", **TRAIN},
    "arcface": {"method": "reid/arcface", **TRAIN},
    "circle": {"method": "reid/circle", **TRAIN},
    "gem": {"method": "reid/baseline", "params.pooling": "gem", **TRAIN},
    "mixstyle": {"method": "reid/mixstyle", **TRAIN},
    "norms of cameras": {"method": "reid/baseline", "eval.camera_statistics": "norms", **TRAIN},
    "pcb": {"method": "reid/pcb", "params.parts": 4, **TRAIN},
    "ibn": {"method": "reid/baseline", "params.ibn": True, **TRAIN},
    "osnet": {
        "method": "reid/baseline", "model.backbone": "studio/osnet?width=16", "params.backbone_lr": 1.0,
        "params.freeze_statistics": False, **TRAIN,
    },
    "without labels: cluster-contrast": {"method": "reid/cluster-contrast", **CLUSTERS},
    "without labels: cluster-contrast by camera": {
        "method": "reid/cluster-contrast", "params.by_camera": "mean", **CLUSTERS,
    },
    "without labels: cluster-contrast by camera, gem": {
        "method": "reid/cluster-contrast", "params.by_camera": "mean", "params.pooling": "gem", **CLUSTERS,
    },
    "without labels: cluster-contrast, neighbours, gem": {
        "method": "reid/cluster-contrast", "params.by_camera": "neighbours", "params.pooling": "gem",
        **CLUSTERS, "params.k1": 16,
    },
    "without labels: mmt by camera, gem": {
        "method": "reid/mmt", "params.by_camera": "mean", "params.pooling": "gem", **CLUSTERS,
    },
    "without labels: spcl by camera": {"method": "reid/spcl", "params.by_camera": "mean", **CLUSTERS},
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--draws", type=int, nargs="*", default=list(range(10)))
    parser.add_argument("--camera", default="01", help="the camera that asks")
    parser.add_argument("--size", type=int, default=128, help="height of the input; the width is half of it")
    parser.add_argument("--only", nargs="*", default=[], help="rows whose names begin so")
    parser.add_argument("--keep", type=Path, help="home folder to keep, with what was measured")
    parser.add_argument("--minutes", type=float, default=1e9)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    spec = f"reid:{Path(asked.folder).resolve()}?layout=pku"
    names = [name for name in ("histogram", *ROWS) if not asked.only or name.startswith(tuple(asked.only))]
    with nullcontext(asked.keep) if asked.keep else tempfile.TemporaryDirectory() as folder:
        cells = Cells(Home.find(Path(folder)), spec, asked.camera, asked.size)
        for draw in asked.draws:
            for name in names:
                if time.monotonic() - cells.begun < 60 * asked.minutes:
                    cells.measure(name, draw)
        cells.summary()


class Cells:
    """What was measured so far, a line of JSON for each row and draw."""

    def __init__(self, home: Home, spec: str, camera: str, size: int) -> None:
        self.home, self.spec, self.camera, self.path = home, spec, camera, home.root / "cells.jsonl"
        self.shared = {"model.image_size": size, "data.aspect": 2.0, "eval.query_cameras": [camera]}
        self.begun = time.monotonic()
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        self.rows = {(row["name"], row["draw"]): row for row in map(json.loads, lines)}

    def measure(self, name: str, draw: int) -> None:
        if (name, draw) in self.rows:
            return
        if name == "histogram":
            self._keep(name, draw, histogram(self.spec, draw, self.camera), 0.0)
            return
        keys = {**self.shared, **ROWS[name], "train.seed": draw}
        place = "data.target" if name.startswith("without") else "data.train"
        checkpoint = self._run(name, draw, {**keys, "data.train": None, "data.source": None, place: self.spec})
        if "train.epochs" not in keys:
            return
        again = {**self.shared, "train.seed": draw, "data.train": self.spec}
        as_it_is = {"method": "reid/baseline", "model.checkpoint": checkpoint, "train.epochs": 0}
        as_it_is |= {key: value for key, value in keys.items() if key == "params.pooling"}
        if name == "baseline" or name.startswith("without"):
            self._run(f"{name}, camera mean", draw, {**again, **as_it_is, "eval.camera_statistics": "mean"})

    def _run(self, name: str, draw: int, keys: dict[str, Any]) -> str:
        begun = time.process_time()
        result = run("reid-quick", keys, home=self.home)
        kept = [key for key in (*NUMBERS, "direct_rank1", "direct_map") if key in result.metrics]
        numbers = {key: result.metrics[key] for key in kept}
        self._keep(name, draw, numbers, (time.process_time() - begun) / 60)
        return result.checkpoint

    def _keep(self, name: str, draw: int, numbers: dict[str, float], minutes: float) -> None:
        row = {"name": name, "draw": draw, **numbers, "minutes": minutes}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        self.rows[name, draw] = row
        print(f"{name}, draw {draw}: {', '.join(f'{key} {100 * numbers[key]:.1f}' for key in NUMBERS)}", flush=True)

    def summary(self) -> None:
        """Means and 95 % intervals over the draws in percent, and the minutes of one core that a draw took."""
        for name in dict.fromkeys(name for name, _ in self.rows):
            rows = [row for (named, _), row in self.rows.items() if named == name]
            cells = []
            for key in NUMBERS:
                mean, half = mean_ci95(np.array([100 * row[key] for row in rows]))
                cells.append(f"{key} {mean:.1f} +- {half:.1f}")
            minutes = np.mean([row["minutes"] for row in rows])
            print(f"{name:46} {len(rows):2} draws: {', '.join(cells)}; {minutes:.1f} minutes", flush=True)


def histogram(spec: str, draw: int, camera: str) -> dict[str, float]:
    """Joint histograms of hue, saturation and value, 8 bins each, of the whole image, by Hellinger's distance."""
    settings = ReidEval(query_cameras=[camera])
    (trial,) = resolve_trials(ReidData(train=spec), settings, draw)
    sides = Side(colours(trial.query), trial.query), Side(colours(trial.gallery), trial.gallery)
    ranking = score(*sides, settings, 0).ranking
    return {"rank1": ranking.rank(1), "map": ranking.map, "minp": ranking.minp}


def colours(dataset: Dataset) -> np.ndarray:
    counts = []
    for item in dataset.items:
        pixels = np.asarray(read_image(item.source, item.name).convert("HSV"), np.float64).reshape(-1, 3)
        bins = np.histogramdd(pixels, bins=8, range=[(0, 256)] * 3)[0].reshape(-1)
        counts.append(np.sqrt(bins / bins.sum()))
    return np.array(counts, np.float32)


if __name__ == "__main__":
    main()
