"""What a camera's own images say of its light and colours, without labels: their mean, or batch-norm statistics."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from torch import nn

from adapters.reid.run.embedding import Eye, embed_dataset
from adapters.reid.run.scoring import Side
from studio.core.errors import UsageError
from studio.core.procedure import Job
from studio.data.items import Dataset
from studio.device.norms import batch_norms

LEAST, MOST = 16, 512  # images of a camera from which statistics are taken; fewer keep those of training


def centred(embeddings: np.ndarray, cameras: Sequence[str]) -> np.ndarray:
    """Unit vectors [N, D] less the mean of their camera's, of unit length again.

    A camera of which there are few images gets the mean of all.
    """
    names, place, counts = np.unique(np.array(cameras, str), return_inverse=True, return_counts=True)
    means = np.zeros((len(names), embeddings.shape[1]))
    np.add.at(means, place, embeddings)
    means /= counts[:, None]
    means[counts < LEAST] = embeddings.mean(axis=0)
    moved = embeddings - means[place]
    return (moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12)).astype(np.float32)


def centred_sides(query: Side, gallery: Side) -> tuple[Side, Side]:
    """Queries and gallery less the mean of each camera, over both; where they are one, they stay so."""
    sides = [query] if query is gallery else [query, gallery]
    cameras = [item.camera or "" for side in sides for item in side.dataset.items]
    moved = centred(np.concatenate([side.embeddings for side in sides]), cameras)
    ends = np.cumsum([len(side.dataset) for side in sides])[:-1]
    made = [Side(part, side.dataset) for part, side in zip(np.split(moved, ends), sides, strict=True)]
    return made[0], made[-1]


def embed_by_camera(job: Job, eye: Eye, module: nn.Module, dataset: Dataset, what: str) -> tuple[np.ndarray, Dataset]:
    """As `embed_dataset`, with the statistics of each camera estimated on its own images first, without labels.

    Zhuang et al. 2020, Rethinking the Distribution Gap of Person Re-identification with Camera-based Batch
    Normalization, at test. Raises UsageError where `module` has no batch normalisation.
    """
    if not batch_norms(module):
        raise UsageError("eval.camera_statistics: this network has no batch normalisation. Leave it out.")
    rows = np.arange(len(dataset))
    cameras = np.array([item.camera or "" for item in dataset.items])
    parts, places = [], {id(item): row for row, item in zip(rows, dataset.items, strict=True)}
    for camera in np.unique(cameras):
        own = dataset.subset(rows[cameras == camera])
        with _statistics_of(job, eye, module, own, what):
            parts.append(embed_dataset(job, eye, own, what))
    kept = [item for _, part in parts for item in part.items]
    order = np.argsort([places[id(item)] for item in kept], kind="stable")
    embeddings = np.concatenate([part for part, _ in parts])[order]
    skipped = [lost for _, part in parts for lost in part.skipped]
    return embeddings, Dataset(dataset.spec, dataset.classes, [kept[row] for row in order], skipped)


@contextmanager
def _statistics_of(job: Job, eye: Eye, module: nn.Module, images: Dataset, what: str) -> Iterator[None]:
    """While inside, batch norms have the statistics of these images: their mean over batches."""
    norms = batch_norms(module)
    before = [(norm.momentum, {name: buffer.clone() for name, buffer in norm.named_buffers()}) for norm in norms]
    try:
        if len(images) >= LEAST:
            for norm in norms:
                norm.reset_running_stats()
                norm.momentum = None  # the plain mean over batches
                norm.train()
            chosen = np.unique(np.linspace(0, len(images) - 1, min(MOST, len(images))).astype(int))
            embed_dataset(job, eye, images.subset(chosen), what)
            for norm in norms:
                norm.eval()
        yield
    finally:
        for norm, (momentum, buffers) in zip(norms, before, strict=True):
            norm.momentum = momentum
            norm.eval()
            for name, buffer in norm.named_buffers():
                buffer.copy_(buffers[name])
