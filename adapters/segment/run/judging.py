"""How good a network is on a split: its class maps beside the truth, at the truth's own size."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from adapters.segment.base import Segmenter
from adapters.segment.data.decoded import MaskedSplit
from adapters.segment.data.packed import PackedByRow
from adapters.segment.run.views import Look, enlarged_maps, probabilities
from studio.core.procedure import Job
from studio.data.preprocess import Preprocess
from studio.engine.session import Session
from studio.metrics.segmentation import confusion_of

BATCH = 8  # images of one size looked at together
Maps = Mapping[int, np.ndarray]  # class maps uint8 [H, W] by row


def class_maps(job: Job, session: Session, split: MaskedSplit, look: Look) -> Maps:
    """What the learner says of a split, as it is now."""
    return PackedByRow(guesses(job, session.learner, split, session.preprocess, look))


def matrices_of(split: MaskedSplit, maps: Maps) -> list[np.ndarray]:
    """The confusion matrix [C, C + 1] of each image, in order."""
    classes = len(split.dataset.classes)
    return [confusion_of(split.maps[row], maps[row], classes) for row in sorted(maps)]


def guesses(
    job: Job, learner: Segmenter, split: MaskedSplit, preprocess: Preprocess, look: Look
) -> Iterator[tuple[int, np.ndarray]]:
    """Each image of a decoded split with its class map uint8 [H, W], at the size of its truth. Not in order."""
    learner.train_mode(False)
    for rows in alike(split.images):
        images = torch.from_numpy(np.stack([split.images[row] for row in rows])).to(job.device)
        with torch.inference_mode():
            found = probabilities(learner, images, preprocess, look)
            maps = enlarged_maps(found, [split.maps[row].shape[::-1] for row in rows])
        yield from zip(rows, (mask for mask, _ in maps), strict=True)


def confusions(
    job: Job, learner: Segmenter, split: MaskedSplit, preprocess: Preprocess, look: Look
) -> list[np.ndarray]:
    """As `matrices_of`, of maps that are not kept."""
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
