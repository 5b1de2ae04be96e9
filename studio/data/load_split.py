"""Reading a run's images as features or pixels: progress, and what was left out, are told in the run's events."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from studio.core.errors import DataError
from studio.core.procedure import Job
from studio.data.features.cache import extract
from studio.data.items import Dataset, Item, Skipped
from studio.data.pixels import Decoded, decode, decode_each
from studio.data.preprocess import Preprocess


def features_of(job: Job, dataset: Dataset, backbone: Any, what: str) -> tuple[np.ndarray, Dataset]:
    """Features float32 [N, D] through the cache, and the images that could be read.

    `what` names the images for people ("train", "the target"). Raises DataError where none can be read.
    """
    features, kept = extract(
        dataset,
        backbone,
        home=job.home,
        device=job.device,
        precision=job.precision,
        workers=job.recipe.train.workers,
        on_progress=lambda done, total: job.events.progress(f"features of {what}", done, total),
        on_note=job.events.note,
        should_stop=job.should_stop,
    )
    tell_of_skipped(job, kept, what)
    return features, kept


def pixels_of(
    job: Job, dataset: Dataset, preprocess: Preprocess, what: str, margin: float = 1.0
) -> tuple[np.ndarray, Dataset]:
    """Pixels uint8 [N, 3, H, W], decoded once, and the images that could be read.

    `margin` is how much larger than the network's input they are kept, for crops. Raises DataError where none
    can be read.
    """
    pixels, kept = decode(
        dataset,
        preprocess,
        margin=margin,
        workers=job.recipe.train.workers,
        folder=job.folder / "pixels",
        on_progress=lambda done, total: job.events.progress(f"reading {what}", done, total),
        should_stop=job.should_stop,
    )
    tell_of_skipped(job, kept, what)
    return pixels, kept


def shaped_pixels_of(
    job: Job, dataset: Any, load: Callable[[Item], Decoded], keep: Callable[[Decoded], None], what: str
) -> Any:
    """Gives what `load` makes of each image to `keep` (see `decode_each`): for images that keep their shapes.

    Returns the images that could be read. Raises DataError where none can, StoppedByUser.
    """
    readable = decode_each(
        dataset,
        load,
        keep,
        workers=job.recipe.train.workers,
        on_progress=lambda done, total: job.events.progress(f"reading {what}", done, total),
        should_stop=job.should_stop,
    )
    tell_of_skipped(job, readable, what)
    return readable


def warn_of_skipped(job: Job, skipped: Iterable[Skipped]) -> None:
    """Names every file that was left out."""
    for skip in skipped:
        job.events.warning(f"left out {skip.name}: {skip.reason}")


def tell_of_skipped(job: Job, kept: Dataset, what: str) -> None:
    warn_of_skipped(job, kept.skipped)
    if len(kept) == 0:
        raise DataError(f"{kept.spec}: no readable image is left of {what}.")
