"""Which images are trained on and which are not: deterministic, stratified, the same image never on both sides."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from studio.core.errors import DataError
from studio.core.home import Home
from studio.data.files.digests import digests
from studio.data.files.limits import limits_of
from studio.data.items import Dataset, FeatureSet, ImageSource
from studio.data.near_copies import near_copies
from studio.data.specs import open_data

if TYPE_CHECKING:
    from studio.core.sections import LabelledData

HELD_OUT = 0.2


@dataclass
class Splits:
    """`train` and `val` always, `test` where one was given; `note` says where they come from.

    `near_copies` are images of what is scored (test, else val) that are nearly the same as one of train.
    """

    train: Dataset
    val: Dataset
    test: Dataset | None
    note: str
    near_copies: int = 0


def resolve_splits(data: "LabelledData", seed: int, home: Home | None = None) -> Splits:
    """The splits of a recipe, for learning the classes that train has.

    What data.val and data.test name wins; else the data's own val/ and test/ folders; else a fifth of
    train is held out, stratified, exact duplicates kept on one side. Labels of every split are indices
    into train's classes. Content hashes are remembered in `home`, if given. Raises DataError where
    data.train is missing, nothing can be held out, or a split has classes that train has not.
    """
    train, val, test = given_splits(data, home)
    train = with_images_only(train)
    given: dict[str, Dataset] = {}
    if val is None:
        train, val = _hold_out(train, seed, home)
        note = f"Validation: {len(val)} of {len(train) + len(val)} images held out of train, stratified, seed {seed}."
    else:
        val = given["val"] = relabel(val, train.classes, "val")
        note = f"Validation: {_origin(data)}."
    if test is not None:
        test = given["test"] = relabel(test, train.classes, "test")
    note += leaks([item.source for item in train.items], given, home)
    name, scored = ("test", test) if test is not None else ("val", val)
    copies = len(near_copies(train.items, scored.items, home))
    if copies:
        note += (
            f" {copies} of the {len(scored)} images of {name} are nearly the same as one of train: their score says "
            "less about new images."
        )
    return Splits(train, val, test, note, copies)


def resolve_class_splits(data: "LabelledData", seed: int, home: Home | None = None) -> Splits:
    """The splits of a recipe, for learning to learn: the classes of val and test are not among train's.

    Where no val is given, a fifth of train's classes (at least two) is held out. Raises DataError where a
    class is in two splits, or train has fewer than four classes to divide.
    """
    train, val, test = given_splits(data, home)
    train = with_images_only(train)
    if val is None:
        train, val = split_classes(train, HELD_OUT, seed)
        note = f"Validation: {len(val.classes)} classes held out of train, seed {seed}: {some(val.classes)}."
    else:
        val = with_images_only(val)
        note = f"Validation: the classes of {_origin(data)}."
    if test is not None:
        test = with_images_only(test)
    for name, part in (("val", val), ("test", test)):
        both = sorted(set(train.classes) & set(part.classes)) if part is not None else []
        if both:
            raise DataError(
                f"data.{name}: {some(both)} is in train too, but this method is judged on classes it has not seen. "
                "Name sets of other classes, or give data.train alone: then some classes are held out."
            )
    return Splits(train, val, test, note)


def given_splits(data: "LabelledData", home: Home | None = None) -> tuple[Dataset, Dataset | None, Dataset | None]:
    """(train, val, test) as given by specs or folder names, None where there is none. Labels are each set's own.

    A spec for val or test whose data is divided stands for the split of that name.
    """
    if data.train is None:
        raise DataError("data.train: nothing is given; expected something like folder:photos or builtin:digits.")
    whole = images(data.train, home)
    if whole.splits and "train" not in whole.splits:
        folders = ", ".join(f"{name}/" for name in whole.splits)
        raise DataError(f"data.train: {data.train} has {folders} but no train/. Name the folder to train on.")
    val = _split_of(images(data.val, home), "val") if data.val else _own(whole, "val")
    test = _split_of(images(data.test, home), "test") if data.test else _own(whole, "test")
    return _split_of(whole, "train"), val, test


def images(spec: str, home: Home | None = None) -> Dataset:
    """The data of `spec`, which must be images, for whom `home` is opened. Raises DataError for feature files."""
    dataset = open_data(spec, limits_of(home))
    if isinstance(dataset, FeatureSet):
        raise DataError(f"{spec} holds feature vectors; this method needs images.")
    return dataset


def require_classes(dataset: Dataset | FeatureSet, at_least: int = 2) -> None:
    """Raises DataError where the data has fewer classes with images than `at_least`, or boxes instead."""
    if isinstance(dataset, Dataset) and dataset.boxed:
        raise DataError(
            f"{dataset.spec} has boxes, and no class for each image. Detect them (task: detect), or name class folders "
            "with folder:FOLDER?annotations=none."
        )
    if isinstance(dataset, Dataset) and dataset.masked:
        raise DataError(
            f"{dataset.spec} has masks, and no class for each image. Segment them (task: segment), or name class "
            "folders with folder:FOLDER?annotations=none."
        )
    labels = dataset.labels if isinstance(dataset, Dataset) else dataset.y
    present = [dataset.classes[label] for label in np.unique(labels) if label >= 0]
    if len(present) < at_least:
        shown = f"only the class {present[0]!r}" if len(present) == 1 else f"{len(present)} classes"
        raise DataError(f"{dataset.spec}: found {shown}; at least {at_least} are needed. Expected one folder a class.")


def with_images_only(dataset: Dataset) -> Dataset:
    """`dataset` without the classes that have no image in it, as a part of a divided set may have."""
    present = {item.label for item in dataset.items}
    classes = [name for label, name in enumerate(dataset.classes) if label in present]
    return dataset if len(classes) == len(dataset.classes) else relabel(dataset, classes, "train")


def relabel(dataset: Dataset, classes: list[str], split: str) -> Dataset:
    """`dataset` with labels that are indices into `classes`. Raises DataError for classes not among them."""
    unknown = sorted({dataset.classes[item.label] for item in dataset.items if item.label >= 0} - set(classes))
    if unknown:
        raise DataError(
            f"data.{split}: {dataset.spec} has classes that train has not: {some(unknown)}. Train has: {some(classes)}."
        )
    index_of = {name: index for index, name in enumerate(classes)}
    items = [
        replace(item, label=index_of[dataset.classes[item.label]]) if item.label >= 0 else item
        for item in dataset.items
    ]
    return replace(dataset, classes=classes, items=items)


def stratified(
    labels: np.ndarray, fraction: float, seed: int, groups: Sequence[str | None] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Sorted indices (kept, held) of labels int [N]: about `fraction` of each class is held out.

    Every class keeps at least one image, and holds out at least one where it has two. Indices of the same
    `groups` entry (the content of an image; None is alone) stay together, also across classes; a class that
    is all one group is kept whole. The same arguments give the same split.
    """
    together: dict[object, list[int]] = {}
    for index in range(len(labels)):
        name = groups[index] if groups is not None else None
        together.setdefault(index if name is None else name, []).append(index)
    members = list(together.values())
    counts = [Counter(labels[group].tolist()) for group in members]
    total = Counter(labels.tolist())
    want = {label: max(1, round(fraction * count)) if count > 1 else 0 for label, count in total.items()}
    held: Counter[int] = Counter()
    chosen: set[int] = set()

    def take(number: int, most: dict[int, int]) -> None:
        if all(held[label] + count <= min(most[label], total[label] - 1) for label, count in counts[number].items()):
            held.update(counts[number])
            chosen.add(number)

    order = np.random.default_rng(seed).permutation(len(members)).tolist()
    for number in order:
        take(number, want)
    for number in sorted(order, key=lambda number: len(members[number])):  # where every group is larger than the wish
        if number not in chosen and any(held[label] == 0 < want[label] for label in counts[number]):
            take(number, total)
    out = sorted(index for number in chosen for index in members[number])
    return np.setdiff1d(np.arange(len(labels)), out), np.array(out, dtype=np.int64)


def k_folds(labels: np.ndarray, k: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """`k` stratified (train, held) pairs of labels int [N] that hold out each index once.

    Raises DataError where a class has fewer than two images, or `k` is not 2 to N.
    """
    if not 2 <= k <= len(labels):
        raise DataError(f"k-fold: k is {k}; expected 2 to {len(labels)}, the number of images.")
    values, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2:
        raise DataError("k-fold: a class has one image only; it would be missing from training in its fold.")
    draw = np.random.default_rng(seed)
    fold = np.empty(len(labels), np.int64)
    offset = 0
    for value in values:
        members = draw.permutation(np.flatnonzero(labels == value))
        fold[members] = (np.arange(len(members)) + offset) % k
        offset += len(members)  # the next class goes on where this one ended, so that folds stay equal in size
    return [(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(k)]


def split_classes(dataset: Dataset, fraction: float, seed: int) -> tuple[Dataset, Dataset]:
    """(kept, held): about `fraction` of the classes, at least two, with all their images go to `held`."""
    count = len(dataset.classes)
    if count < 4:
        raise DataError(f"{dataset.spec} has {count} classes; at least 4 are needed to hold out two. Give data.val.")
    held = set(np.random.default_rng(seed).permutation(count)[: max(2, round(fraction * count))].tolist())
    parts = [
        with_images_only(dataset.subset(i for i, item in enumerate(dataset.items) if (item.label in held) == wanted))
        for wanted in (False, True)
    ]
    return replace(parts[0], skipped=dataset.skipped), parts[1]


def _split_of(whole: Dataset, split: str) -> Dataset:
    if split not in whole.splits:
        return whole
    return replace(whole.part(split), skipped=whole.skipped, remarks=whole.remarks)


def _own(whole: Dataset, split: str) -> Dataset | None:
    return whole.part(split) if split in whole.splits else None


def _hold_out(train: Dataset, seed: int, home: Home | None) -> tuple[Dataset, Dataset]:
    kept, held = stratified(train.labels, HELD_OUT, seed, digests([item.source for item in train.items], home))
    if len(held) == 0:
        raise DataError(
            f"data.train: {train.spec} has too few images to hold any out for validation: no class has two different "
            "ones. Add images, or give data.val."
        )
    return replace(train.subset(kept), skipped=train.skipped, remarks=train.remarks), train.subset(held)


def train_and_val(
    data: "LabelledData", train: Dataset, val: Dataset | None, seed: int, home: Home | None,
    match: Callable[[Dataset], Dataset], called: str = "train",
) -> tuple[Dataset, Dataset, str]:  # fmt: skip
    """Train and val of images that have no class each, and a sentence on where val is from.

    A given val by `match`, which brings its classes to train's; else a fifth of train is held out, exact duplicates on
    one side. Raises DataError where nothing can be; `called` is what messages say of train.
    """
    if val is not None:
        return train, match(val), f"Validation: {data.val or 'the split that the data came with'}."
    groups = digests([item.source for item in train.items], home)
    kept, held = stratified(np.zeros(len(train), np.int64), HELD_OUT, seed, groups)
    if len(held) == 0:
        raise DataError(f"data.{called}: {train.spec} has too few images to hold any out. Add some, or give data.val.")
    note = f"Validation: {len(held)} of {len(train)} images held out of {called}, seed {seed}."
    return replace(train.subset(kept), skipped=train.skipped, remarks=train.remarks), train.subset(held), note


def leaks(learned: Sequence[ImageSource], given: Mapping[str, Dataset], home: Home | None) -> str:
    """A sentence for each of the `given` splits that has images in it which are `learned` from."""
    if not given:
        return ""
    known = set(digests(learned, home)) - {None}
    counts = {
        name: sum(digest in known for digest in digests([item.source for item in part.items], home))
        for name, part in given.items()
    }
    return "".join(
        f" {count} of the {len(given[name])} images of {name} are in train too: scores will be too good."
        for name, count in counts.items()
        if count
    )


def _origin(data: "LabelledData") -> str:
    return data.val or "the data's own val folder"


def some(names: list[str]) -> str:
    """The first of many names, for a sentence."""
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
