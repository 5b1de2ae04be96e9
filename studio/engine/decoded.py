"""Splits that are decoded once and kept in memory, and what a Learner says to them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from studio.core.faces import Learner
from studio.core.procedure import Job
from studio.data import Dataset
from studio.data.load_split import pixels_of
from studio.data.preprocess import Preprocess
from studio.data.transforms import normalize

MARGIN = 1.15  # training images are kept a little larger than the input, so that crops have room


@dataclass
class Decoded:
    """A split in memory: pixels uint8 [N, 3, H, W] and the images they are of."""

    pixels: Any
    dataset: Dataset

    def part(self, rows: np.ndarray) -> "Decoded":
        """The images at `rows`."""
        return Decoded(self.pixels[rows], self.dataset.subset(rows))


def decode_split(job: Job, dataset: Dataset, preprocess: Preprocess, what: str, margin: float = 1.0) -> Decoded:
    """The images of a split that can be read; the others are named in the events. Raises DataError if none can."""
    return Decoded(*pixels_of(job, dataset, preprocess, what, margin))


def inputs(job: Job, split: Decoded, preprocess: Preprocess, rows: slice) -> Tensor:
    """Normalised images [B, 3, H, W] on the job's device."""
    return normalize(torch.from_numpy(np.ascontiguousarray(split.pixels[rows])).to(job.device), preprocess)


def predict_pixels(job: Job, learner: Learner, split: Decoded, preprocess: Preprocess) -> np.ndarray:
    """Probabilities [N, C] of a decoded split, in its order."""
    learner.train_mode(False)
    size = max(job.recipe.train.batch_size, 32)
    parts = []
    with torch.inference_mode():
        for start in range(0, len(split.dataset), size):
            images = inputs(job, split, preprocess, slice(start, start + size))
            parts.append(learner.predict(images).softmax(dim=1).float().cpu().numpy())
    return np.concatenate(parts)


def judge(probabilities: np.ndarray, split: Decoded) -> dict[str, float]:
    """Accuracy and loss of a split; `score` is accuracy, ties go to the smaller loss."""
    labels = split.dataset.labels
    accuracy = float((probabilities.argmax(axis=1) == labels).mean())
    loss = float(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)).mean())
    return {"accuracy": accuracy, "loss": loss, "score": accuracy - 1e-6 * loss}
