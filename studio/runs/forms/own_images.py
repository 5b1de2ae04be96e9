"""The images that a form is calibrated and judged on: the run's own, or data that are named."""

import threading
from collections.abc import Iterator
from contextlib import chdir, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from studio.core import recipe as recipes
from studio.core.errors import DataError, StoreError, UsageError
from studio.core.home import Home
from studio.core.sections import LabelledData
from studio.data import Dataset, read_image
from studio.data.files.images import BadImage
from studio.data.preprocess import Preprocess
from studio.data.splits import given_splits, images, relabel, resolve_splits
from studio.data.transforms import normalize, to_input
from studio.store import Checkpoint, Store

MOST_CALIBRATED, MOST_JUDGED = 128, 1000  # images
BATCH = 16


@dataclass(frozen=True)
class OwnImages:
    """Images to calibrate on, whose labels are not looked at, and images to judge on; `where` says which these are."""

    calibration: Dataset
    judged: Dataset
    where: str


def own_images(checkpoint: Checkpoint, home: Home, spec: str | None = None) -> OwnImages:
    """The images of `spec`; without it the validation images of the checkpoint's run, judged on its test images where
    it had some. Of a few-shot checkpoint without either those that it was taught with.

    Raises UsageError or DataError where there are none any more.
    """
    with _where_filed(checkpoint, home):
        calibration, judged, where = _named(spec, home) if spec else _of_run(checkpoint, home)
        classes = checkpoint.manifest.classes
        return OwnImages(
            _evenly(relabel(calibration, classes, "val"), MOST_CALIBRATED),
            _evenly(relabel(judged, classes, "test"), MOST_JUDGED),
            where,
        )


def _named(spec: str, home: Home) -> tuple[Dataset, Dataset, str]:
    data = images(spec, home)
    return data, data, spec


def _of_run(checkpoint: Checkpoint, home: Home) -> tuple[Dataset, Dataset, str]:
    manifest = checkpoint.manifest
    recipe = recipes.stored(manifest.recipe)
    if not isinstance(recipe.data, LabelledData) or recipe.data.train is None:
        raise UsageError(
            f"{checkpoint.id} has no labelled images of its own to be judged on. Name some with --data folder:PHOTOS, "
            "one folder a class."
        )
    try:
        if manifest.face == "EpisodeHead":  # it was taught with all of train
            train, val, test = given_splits(recipe.data, home)
        else:
            splits = resolve_splits(recipe.data, recipe.train.seed, home)
            train, val, test = splits.train, splits.val, splits.test
    except DataError as error:
        raise DataError(
            f"The images of the run can't be opened any more: {error} Name others with --data folder:PHOTOS."
        ) from error
    if test is not None:
        return val or train, test, "test"
    return (val, val, "val") if val is not None else (train, train, "train, which it was taught with")


def _where_filed(checkpoint: Checkpoint, home: Home) -> Any:
    """Relative paths of the run's recipe are below the folder where it was filed.

    A process has one working folder, so this is left to the command line; the page files absolute ones.
    """
    if threading.current_thread() is not threading.main_thread():
        return nullcontext()
    try:
        folder = Store(home).run(checkpoint.manifest.lineage.get("run") or "").filed_in()
    except (StoreError, UsageError):  # it came from another machine, or its run was removed
        return nullcontext()
    there = folder is not None and folder.is_dir() and folder != Path.cwd()
    return chdir(folder) if there else nullcontext()


def _evenly(dataset: Dataset, most: int) -> Dataset:
    """At most so many labelled images, from all over the set."""
    rows = np.flatnonzero(dataset.labels >= 0)
    return dataset.subset(rows[np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int))])


def batches(dataset: Dataset, preprocess: Preprocess, size: int = BATCH) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Normalised images float32 [B, 3, H, W] and their labels [B], in order; what can't be read is left out."""
    rows = list[tuple[torch.Tensor, int]]()
    for item in dataset.items:
        try:
            image = read_image(item.source, item.name, preprocess.image_size)
        except BadImage:
            continue
        rows.append((to_input(image, preprocess), item.label))
        if len(rows) == size:
            yield _together(rows, preprocess)
            rows.clear()
    if rows:
        yield _together(rows, preprocess)


def _together(rows: list[tuple[torch.Tensor, int]], preprocess: Preprocess) -> tuple[np.ndarray, np.ndarray]:
    pixels = torch.stack([pixels for pixels, _ in rows])
    return normalize(pixels, preprocess).contiguous().numpy(), np.array([label for _, label in rows])
