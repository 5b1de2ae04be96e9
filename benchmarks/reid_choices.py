"""What spoils a pretrained network that learns few individuals: settings of the strong baseline, one after another.

    python benchmarks/reid_choices.py FOLDER [--only kept directions]

FOLDER is PKU-Reid. Of the 16 persons that the first draw of benchmarks/reid_pku.py learns from, 10 are learned and 6
scored, camera 1 asks camera 2, 48 queries: whom that draw scores is not looked at. Each setting is trained by a plain
loop with the project's batches, network and losses, and scored at its last step. `frozen` scores the network without
training, by its own batch-norm statistics and by those of each camera's images, mean of ten draws of the 16 persons.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy, normalize

from adapters.finetune.full import decay_groups
from adapters.reid.base import classifier
from adapters.reid.data.batches import IdentityBatches
from adapters.reid.data.trials import Trial, _drawn, resolve_trials
from adapters.reid.losses import batch_hard
from adapters.reid.network import EmbeddingNetwork
from adapters.reid.run.scoring import Side, score
from adapters.reid.task import ReidData, ReidEval, ReidTrain
from studio.core import registry
from studio.core.phases import warmup_cosine
from studio.data import read_image
from studio.data.items import Dataset
from studio.data.preprocess import Preprocess
from studio.data.transforms import normalize as normalized
from studio.data.transforms import to_input
from studio.device.norms import batch_norms, freeze_statistics

LR, DECAY, WARM = 1e-3, 0.01, 5
SETTINGS = ReidEval(query_cameras=["01"], test_identities=6)
KEPT = {"kept": True, "backbone": 0.1, "directions": True, "steps": 120}
ROWS: dict[str, dict[str, Any]] = {
    "as it was": {"backbone": 0.3, "steps": 160},
    "kept statistics": {"backbone": 0.3, "steps": 160, "kept": True},
    "kept, slower": {**KEPT, "directions": False},
    "directions": KEPT,
    "directions, colours": {**KEPT, "augment": "jitter", "erasing": 0.0},
    "directions, colours, slower still": {**KEPT, "augment": "jitter", "erasing": 0.0, "backbone": 0.03},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--only", nargs="*", default=[], help="rows whose names begin so; frozen is one")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    spec = f"reid:{Path(asked.folder).resolve()}?layout=pku"
    (first,) = resolve_trials(ReidData(train=spec), ReidEval(query_cameras=["01"]), 0)
    assert first.train is not None
    for name in ("frozen", *ROWS):
        if not asked.only or name.startswith(tuple(asked.only)):
            print(
                name, *(frozen(first.train) if name == "frozen" else [trained(first.train, **ROWS[name])]), flush=True
            )


def trained(
    persons: Dataset, backbone: float, steps: int, kept: bool = False, directions: bool = False,
    augment: str = "crop", erasing: float = 0.5,
) -> str:  # fmt: skip
    """Rank 1 and mAP after so many steps of 32 images, the backbone at `backbone` times the learning rate."""
    trial = _drawn(persons, SETTINGS, 1000)
    assert trial.train is not None
    body, preprocess = begun()
    pixels = decoded(trial.train, preprocess)
    torch.manual_seed(0)
    network = EmbeddingNetwork(body, "own", (preprocess.image_size, preprocess.width))
    head = classifier(network.dim, len(trial.train.classes))
    groups = decay_groups([body], LR * backbone, DECAY) + decay_groups([network.neck, head], LR, DECAY)
    optimizer, peaks = torch.optim.AdamW(groups), [group["lr"] for group in groups]
    moved = [parameter for group in groups for parameter in group["params"]]
    settings = ReidTrain(batch_size=32, per_identity=4, augment=augment, erasing=erasing, seed=0)  # type: ignore[arg-type]
    batches = IdentityBatches(pixels.numpy(), trial.train.labels, preprocess, settings)
    for step in range(steps):
        network.train()
        if kept:
            freeze_statistics(body)
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * warmup_cosine(step, steps, WARM)
        batch = batches.batch(step)
        torch.manual_seed(step)
        features, embeddings = network(batch.images)
        compared = normalize(features, dim=1) if directions else features
        triplet = batch_hard(compared, batch.labels, 0.3)
        loss = cross_entropy(head(embeddings), batch.labels, label_smoothing=0.1) + triplet
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(moved, 1.0)
        optimizer.step()
    sides = [embedded(network, decoded(part, preprocess), preprocess) for part in (trial.query, trial.gallery)]
    return f"{scored(trial, *sides)}; at the end triplets {float(triplet.detach()):.2f}, gradient {float(norm):.1f}"


def frozen(persons: Dataset) -> list[str]:
    """By statistics of the pretraining, and by those of each camera's own images, mean of ten draws."""
    body, preprocess = begun()
    network = EmbeddingNetwork(body, "own", (preprocess.image_size, preprocess.width))
    pixels, cameras = decoded(persons, preprocess), np.array([item.camera for item in persons.items])
    own = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    plain = embedded(network, pixels, preprocess)
    anew = np.zeros_like(plain)
    for camera in np.unique(cameras):
        rows = np.flatnonzero(cameras == camera)
        network.load_state_dict(own)
        for norm in batch_norms(body):
            norm.reset_running_stats()
            norm.momentum = None
        network.train()
        with torch.inference_mode():
            for start in range(0, len(rows), 64):
                network.features(normalized(pixels[rows[start : start + 64]], preprocess))
        anew[rows] = embedded(network, pixels[rows], preprocess)
    place, out = {item.name: row for row, item in enumerate(persons.items)}, []
    for name, features in (("pretrained statistics", plain), ("of each camera", anew)):
        rankings = []
        for draw in range(10):
            trial = _drawn(persons, SETTINGS, 1000 + draw)
            sides = [features[[place[item.name] for item in part.items]] for part in (trial.query, trial.gallery)]
            rankings.append(ranked(trial, *sides))
        means = [
            100 * np.mean([number(each) for each in rankings]) for number in (lambda r: r.rank(1), lambda r: r.map)
        ]
        out.append(f"{name}: rank 1 {means[0]:.1f}, mAP {means[1]:.1f};")
    return out


def begun() -> tuple[Any, Preprocess]:
    backbone = registry.backbone("pip/tf_efficientnet_lite0", image_size=128)
    for parameter in backbone.parameters():
        parameter.requires_grad_(True)
    return backbone, replace(backbone.preprocess, squash=True, aspect=2.0)


def decoded(part: Dataset, preprocess: Preprocess) -> torch.Tensor:
    return torch.stack([to_input(read_image(item.source, item.name), preprocess) for item in part.items])


def embedded(network: EmbeddingNetwork, pixels: torch.Tensor, preprocess: Preprocess) -> np.ndarray:
    network.eval()
    with torch.inference_mode():
        parts = [network.embed(normalized(pixels[i : i + 64], preprocess)) for i in range(0, len(pixels), 64)]
    return torch.cat(parts).numpy()


def ranked(trial: Trial, query: np.ndarray, gallery: np.ndarray) -> Any:
    return score(Side(query, trial.query), Side(gallery, trial.gallery), SETTINGS, 0).ranking


def scored(trial: Trial, query: np.ndarray, gallery: np.ndarray) -> str:
    ranking = ranked(trial, query, gallery)
    return f"rank 1 {100 * ranking.rank(1):.1f}, mAP {100 * ranking.map:.1f}"


if __name__ == "__main__":
    main()
