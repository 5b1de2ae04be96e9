"""Which images are trained on and which are not: deterministic, stratified, the same picture never on both sides."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from studio.core.errors import DataError
from studio.data.items import Dataset, FeatureSet
from studio.data.readers import open_data

if TYPE_CHECKING:
    from studio.core.recipe import DataSection

HELD_OUT = 0.2


@dataclass
class Splits:
    """`train` and `val` always, `test` where one was given; `note` says where they come from."""

    train: Dataset
    val: Dataset
    test: Dataset | None
    note: str


def resolve_splits(data: "DataSection", seed: int) -> Splits:
    """The splits of a recipe.

    What data.val and data.test name wins; else the data's own val/ and test/ folders; else a fifth of
    train is held out, stratified, exact duplicates kept on one side. Labels of every split are indices
    into train's classes. Raises DataError where data.train is missing, or a split has classes that
    train has not.
    """
    if data.train is None:
        raise DataError("data.train: nothing is given; expected something like folder:photos or builtin:digits.")
    whole = images(data.train)
    train = whole.part("train") if "train" in whole.splits else whole
    train.skipped = whole.skipped
    val = images(data.val) if data.val else _own(whole, "val")
    test = images(data.test) if data.test else _own(whole, "test")
    note = "Validation: " + (f"{data.val}." if data.val else "the data's own val folder.")
    if val is None:
        kept, held = stratified(train.labels, HELD_OUT, seed, group=_digests(train))
        note = f"Validation: {len(held)} of {len(train)} images held out of train, stratified, seed {seed}."
        skipped = train.skipped
        train, val = train.subset(kept), train.subset(held)
        train.skipped = skipped
    if len(val) == 0:
        raise DataError(f"{data.train}: too few images to hold any out for validation; every class has one image.")
    return Splits(train, relabel(val, train.classes, "val"), test and relabel(test, train.classes, "test"), note)


def images(spec: str) -> Dataset:
    """The data of `spec`, which must be images. Raises DataError for feature files."""
    found = open_data(spec)
    if isinstance(found, FeatureSet):
        raise DataError(f"{spec} holds feature vectors; this method needs images.")
    return found


def require_classes(dataset: Dataset | FeatureSet, at_least: int = 2) -> None:
    """Raises DataError where the data has fewer classes with images than `at_least`."""
    present = len(set(np.unique(dataset.labels if isinstance(dataset, Dataset) else dataset.y)) - {-1})
    if present < at_least:
        raise DataError(
            f"{dataset.spec}: found {present} class{'' if present == 1 else 'es'} ({', '.join(dataset.classes[:5])}); "
            f"at least {at_least} are needed. Expected one folder a class."
        )


def relabel(dataset: Dataset, classes: list[str], split: str) -> Dataset:
    """`dataset` with labels that are indices into `classes`. Raises DataError for classes not among them."""
    unknown = sorted({dataset.classes[item.label] for item in dataset.items if item.label >= 0} - set(classes))
    if unknown:
        raise DataError(
            f"The {split} split of {dataset.spec} has classes that train has not: {', '.join(unknown[:8])}. "
            f"Train has: {', '.join(classes[:8])}."
        )
    place = {name: index for index, name in enumerate(classes)}
    items = [
        replace(item, label=place[dataset.classes[item.label]]) if item.label >= 0 else item for item in dataset.items
    ]
    return replace(dataset, classes=classes, items=items)


def stratified(
    labels: np.ndarray, fraction: float, seed: int, group: Callable[[int], str] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Sorted indices (kept, held): about `fraction` of each class is held out, at least one where it has two.

    `group(i)` names what must stay together (the content of image i); the same seed gives the same split.
    """
    draw = np.random.default_rng(seed)
    kept: list[int] = []
    held: list[int] = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        together: dict[str, list[int]] = {}
        for index in members:
            together.setdefault(group(int(index)) if group else str(index), []).append(int(index))
        groups = list(together.values())
        draw.shuffle(groups)
        want = max(1, round(fraction * len(members))) if len(groups) > 1 else 0
        out = 0
        for position, indices in enumerate(groups):
            last = position == len(groups) - 1
            if out < want and not (last and out == position):
                held += indices
                out += len(indices)
            else:
                kept += indices
    return np.array(sorted(kept), dtype=np.int64), np.array(sorted(held), dtype=np.int64)


def k_folds(labels: np.ndarray, k: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """`k` stratified (train, held) pairs that hold out each index once.

    Raises DataError where a class has fewer than two images, or `k` exceeds the number of images.
    """
    counts = np.bincount(labels)
    if k < 2 or k > len(labels):
        raise DataError(f"k-fold: k is {k}; expected 2 to {len(labels)}, the number of images.")
    if counts[counts > 0].min() < 2:
        raise DataError("k-fold: a class has one image only; it would be missing from training in its fold.")
    draw = np.random.default_rng(seed)
    fold = np.empty(len(labels), np.int64)
    offset = 0
    for label in np.flatnonzero(counts):
        members = draw.permutation(np.flatnonzero(labels == label))
        fold[members] = (np.arange(len(members)) + offset) % k
        offset += len(members)
    return [(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(k)]


def _own(whole: Dataset, split: str) -> Dataset | None:
    return whole.part(split) if split in whole.splits else None


def _digests(dataset: Dataset) -> Callable[[int], str]:
    from studio.data.digests import digests

    found = digests([item.source for item in dataset.items])
    return lambda index: found[index] or str(index)
