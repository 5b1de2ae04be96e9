"""Whom clusters hold, by the truth: how much clusters of persons without labels are split by camera, epoch by epoch.

    python benchmarks/reid_purity.py FOLDER start
    python benchmarks/reid_purity.py FOLDER train [--only mean ...] [--minutes 8] [--seeds 0]

FOLDER is PKU-Reid. Both look at the 16 persons alone that the first draw of benchmarks/reid_pku.py learns from: whom
that draw scores has no say. `start` clusters the pretrained features by a grid of settings; `train` learns from the
clusters by each setting, and clusters anew after each epoch. Shown: clusters, the share of images in none (out), of the
clustered images those of the person that is most in their cluster (pure), those in a cluster of one camera alone (one
camera), of pairs of images of one person by two cameras those in one cluster (across); and after training rank 1 and
mAP of these same 16 persons, camera 1 asking camera 2, before and after.
"""

import argparse
import itertools
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from adapters.reid.clusterer import Clusterer
from adapters.reid.clustering import Clusters, Neighbours
from adapters.reid.data.trials import individuals, resolve_trials
from adapters.reid.network import EmbeddingNetwork
from adapters.reid.run.camera_statistics import centred
from adapters.reid.task import ReidData, ReidEval
from benchmarks.reid_choices import begun, decoded, embedded
from studio import run
from studio.core.home import Home
from studio.data.items import Dataset

GRID = {"by_camera": ("none", "mean", "neighbours"), "k1": (6, 10, 16, 30), "k2": (1, 3), "eps": (0.4, 0.5, 0.6, 0.7)}
MEAN = {"by_camera": "mean", "k1": 10, "k2": 3, "least": 3}
ROWS: dict[str, dict[str, Any]] = {
    "mean of each camera": MEAN,
    "as they are": {**MEAN, "by_camera": "none"},
    "neighbours of each camera": {**MEAN, "by_camera": "neighbours", "k1": 16},
    "mean, gem": {**MEAN, "pooling": "gem"},
    "neighbours, gem": {**MEAN, "by_camera": "neighbours", "k1": 16, "pooling": "gem"},
    "spcl": {**MEAN, "method": "reid/spcl"},
    "mmt": {**MEAN, "method": "reid/mmt"},
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("what", choices=["start", "train"])
    parser.add_argument("--only", nargs="*", default=[], help="rows whose names begin so")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="of every row")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--minutes", type=float, default=1e9, help="ends with the row that is then at work")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        spec = f"reid:{copied(asked.folder, Path(folder) / 'persons')}?layout=pku"
        if asked.what == "start":
            start(individuals(spec, None))
            return
        settings = dict(pair.split("=", 1) for pair in asked.set)
        begun_s = time.monotonic()
        for name, seed in itertools.product(ROWS, asked.seeds):
            chosen = not asked.only or name.startswith(tuple(asked.only))
            if chosen and time.monotonic() - begun_s < 60 * asked.minutes:
                train(f"{name}, seed {seed}", spec, {**keys_of(ROWS[name]), "train.seed": seed, **settings}, folder)


def copied(folder: Path, out: Path) -> Path:
    """The persons that the first draw learns from, in a folder of their own."""
    (first,) = resolve_trials(ReidData(train=f"reid:{folder.resolve()}?layout=pku"), ReidEval(query_cameras=["01"]), 0)
    assert first.train is not None
    for name in first.train.classes:
        shutil.copytree(folder / name, out / name)
    return out


def start(persons: Dataset) -> None:
    body, preprocess = begun()
    network = EmbeddingNetwork(body, "own", (preprocess.image_size, preprocess.width))
    features = embedded(network, decoded(persons, preprocess), preprocess)
    cameras = cameras_of(persons)
    for by_camera, k1, k2 in itertools.product(GRID["by_camera"], GRID["k1"], GRID["k2"]):
        compared = features if by_camera == "none" else centred(features, cameras)
        apart = np.unique(cameras, return_inverse=True)[1] if by_camera == "neighbours" else None
        neighbours = Neighbours.of(torch.from_numpy(compared), 0.9, k1, k2, cameras=apart)
        for eps in GRID["eps"]:
            print(f"{by_camera}, k1 {k1}, k2 {k2}, eps {eps}: {held(neighbours.clusters(eps, 3), persons)}", flush=True)


def train(name: str, spec: str, keys: dict[str, Any], folder: str) -> None:
    persons, seen, begun_s = individuals(spec, None), list[str](), time.process_time()
    follow = Clusterer.follow

    def watched(learner: Clusterer, features: torch.Tensor, clusters: Clusters) -> None:
        seen.append(held(clusters, persons))
        follow(learner, features, clusters)

    with patch.object(Clusterer, "follow", watched):
        places = {"data.train": None, "data.source": None, "data.target": spec, "data.test": spec}
        result = run("reid-quick", {**keys, **places}, home=Home.find(folder))
    for epoch, line in enumerate(seen):
        print(f"{name}, epoch {epoch}: {line}")
    numbers = {key: 100 * result.metrics[key] for key in ("direct_rank1", "rank1", "direct_map", "map")}
    print(
        f"{name}: rank 1 {numbers['direct_rank1']:.1f} -> {numbers['rank1']:.1f}, mAP {numbers['direct_map']:.1f} -> "
        f"{numbers['map']:.1f}; {(time.process_time() - begun_s) / 60:.1f} minutes",
        flush=True,
    )


def keys_of(row: dict[str, Any]) -> dict[str, Any]:
    """A row's settings as the keys of a recipe; those without a dot are the method's."""
    own = {"method": row.get("method", "reid/cluster-contrast"), "model.image_size": 128, "data.aspect": 2.0}
    params = {key if "." in key else f"params.{key}": value for key, value in row.items() if key != "method"}
    return {**own, "eval.query_cameras": ["01"], "train.epochs": 8, "train.batch_size": 32, **params}


def held(clusters: Clusters, persons: Dataset) -> str:
    """What clusters hold, by the truth."""
    labels, inside = persons.labels, clusters.labels >= 0
    cameras, own = np.unique(cameras_of(persons), return_inverse=True)[1], clusters.labels
    pure = sum(np.bincount(labels[own == number]).max() for number in range(clusters.count)) / max(1, inside.sum())
    single = [number for number in range(clusters.count) if len(np.unique(cameras[own == number])) == 1]
    pairs = (labels[:, None] == labels[None]) & (cameras[:, None] != cameras[None])
    together = pairs & (own[:, None] == own[None]) & inside[:, None] & inside[None]
    return (
        f"{clusters.count} clusters, out {clusters.left_out:.2f}, pure {pure:.2f}, one camera "
        f"{np.isin(own, single).sum() / max(1, inside.sum()):.2f}, across {together.sum() / pairs.sum():.2f}"
    )


def cameras_of(persons: Dataset) -> list[str]:
    return [item.camera or "" for item in persons.items]


if __name__ == "__main__":
    main()
