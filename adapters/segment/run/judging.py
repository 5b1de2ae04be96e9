"""How good a network is on a split: its class maps beside the truth, at the truth's own size."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from adapters.segment.base import Segmenter
from adapters.segment.data.decoded import MaskedSplit
from adapters.segment.run.views import Look, class_maps, probabilities
from studio.core.procedure import Job
from studio.data.preprocess import Preprocess
from studio.metrics.segmentation import confusion_of

BATCH = 8  # images of one size looked at together


def guesses(
    job: Job, learner: Segmenter, split: MaskedSplit, preprocess: Preprocess, look: Look
) -> Iterator[tuple[int, np.ndarray]]:
    """Each image of a decoded split with its class map uint8 [H, W], at the size of its truth. Not in order."""
    learner.train_mode(False)
    for rows in alike(split.images):
        images = torch.from_numpy(np.stack([split.images[row] for row in rows])).to(job.device)
        with torch.inference_mode():
            found = probabilities(learner, images, preprocess, look)
            maps = class_maps(found, [split.maps[row].shape[::-1] for row in rows])
        yield from zip(rows, (mask for mask, _ in maps), strict=True)


def confusions(
    job: Job, learner: Segmenter, split: MaskedSplit, preprocess: Preprocess, look: Look
) -> list[np.ndarray]:
    """A confusion matrix [C, C + 1] of each image, in order."""
    classes = len(split.dataset.classes)
    found = {
        row: confusion_of(split.maps[row], mask, classes)
        for row, mask in guesses(job, learner, split, preprocess, look)
    }
    return [found[row] for row in range(len(split.images))]


def alike(images: Sequence[np.ndarray]) -> Iterator[list[int]]:
    """Rows of images of one size, a few at a time."""
    by_size: dict[tuple[int, ...], list[int]] = {}
    for row, image in enumerate(images):
        by_size.setdefault(image.shape, []).append(row)
    for rows in by_size.values():
        for first in range(0, len(rows), BATCH):
            yield rows[first : first + BATCH]
