"""The domains of a deep alignment: a labelled source, a target without its labels, and what is scored."""

from dataclasses import dataclass, replace

import numpy as np

from adapters.align.deep.base import DeepLearner
from studio.core.errors import DataError, UsageError
from studio.core.home import Home
from studio.core.recipe import Recipe
from studio.core.sections import LabelledData
from studio.data import Dataset, require_classes, resolve_splits
from studio.data.domains import TargetSet, blind, require_domains, target_of
from studio.data.splits import relabel, some

UNKNOWN = "unknown"  # what every class of the target is called that the source has not


@dataclass
class Domains:
    """`train` and `val` of the source (None without one), the `target` without labels, and the `test` that is scored.

    `classes` are the source's. Labels of `test` are indices into them; len(classes) is what they do not have.
    `same`: the images of `test` are those of `target`.
    """

    train: Dataset | None
    val: Dataset | None
    target: TargetSet
    test: Dataset | None
    classes: list[str]
    same: bool
    note: str


def resolve_domains(
    recipe: Recipe, method: type[DeepLearner], known: list[str] | None = None, home: Home | None = None
) -> Domains:
    """What data.source, data.target and data.test name; `known` are the classes of a checkpoint without its source.

    Raises UsageError where a domain is not named, DataError where the source has no labels or too few classes, where
    the target is smaller than a batch, or has labelled classes that the method can't have.
    """
    data, settings = recipe.data, recipe.train
    if method.needs_checkpoint:
        if not data.target:
            raise UsageError(f"data.target: nothing is named; {method.id} adapts to its images.")
        train = val = None
        classes, note = known or [], "No source images: it goes on from the checkpoint."
    else:
        require_domains(data.source, data.target, "an alignment")
        if data.source == data.target:
            raise UsageError(
                f"data.target: {data.target} is the source too; one domain alone needs no alignment. Name images of "
                "another look, or train with task classify."
            )
        train, val, note = _source(data.source, settings.seed, home)
        classes = train.classes
    learned, test, where = target_of(data.target, data.test, home)
    least = 2 if method.online else settings.batch_size
    if len(learned) < least:
        raise DataError(
            f"data.target: {learned.spec} has {len(learned)} images, fewer than a batch of {settings.batch_size} "
            f"(train.batch_size). Add images, or set train.batch_size to {max(2, len(learned) // 2)}."
        )
    same = test is learned
    scored = _scored(test, classes, method, recipe)
    note += f" Target: {len(learned)} images without their labels."
    if scored is not None:
        note += f" Scored on {where}; no label of the target chooses anything."
    return Domains(train, val, blind(learned), scored, classes, same, note)


def _source(spec: str, seed: int, home: Home | None) -> tuple[Dataset, Dataset, str]:
    splits = resolve_splits(LabelledData(train=spec), seed, home)
    train, val = (_labelled(part) for part in (splits.train, splits.val))
    if len(train) == 0 or len(val) == 0:
        raise DataError(
            f"data.source: {spec} has no labels. An alignment learns the classes from the source: expected one folder "
            "a class, or labels in a file. Are source and target exchanged?"
        )
    require_classes(train, 2)
    missing = set(range(len(train.classes))) - set(train.labels.tolist())
    if missing:
        names = [train.classes[label] for label in sorted(missing)]
        raise DataError(
            f"data.source: {spec} has no image of {some(names)} to train on. Add some, or take the class out."
        )
    return train, val, splits.note


def _labelled(dataset: Dataset) -> Dataset:
    rows = np.flatnonzero(dataset.labels >= 0)
    return dataset if len(rows) == len(dataset) else replace(dataset.subset(rows), skipped=dataset.skipped)


def _scored(test: Dataset, classes: list[str], method: type[DeepLearner], recipe: Recipe) -> Dataset | None:
    """What is scored, with labels as `Domains.test` has them; None where nothing has a label."""
    if (test.labels < 0).all():
        if recipe.data.test:
            raise DataError(f"data.test: {test.spec} has no labels to score by. Leave it out, or name labelled images.")
        return None
    labels = set(test.labels[test.labels >= 0].tolist())
    strange = [test.classes[label] for label in sorted(labels) if test.classes[label] not in classes]
    lacking = [name for name in classes if name not in {test.classes[label] for label in labels}]
    if not strange:
        return relabel(test, classes, "target")
    if len(strange) == len(labels):
        raise DataError(
            f"data.target: no class of {test.spec} is one of the source's. It has {some(strange)}; the source has "
            f"{some(classes)}. The domains need the same names for the same classes."
        )
    if lacking:
        raise DataError(
            f"data.target: {test.spec} has {some(strange)}, which the source has not, and lacks {some(lacking)} of it. "
            "Such a universal setting is not for any method here: take one or the other out."
        )
    if method.setting != "open" and recipe.eval.unknown is None:
        raise DataError(
            f"data.target: {test.spec} has classes that the source has not: {some(strange)}; the source has "
            f"{some(classes)}. {method.id} can't name them. Take them out, use a method for open sets (align/osbp), or "
            "have what is unsure scored as unknown (eval.unknown)."
        )
    place = [classes.index(name) if name in classes else len(classes) for name in test.classes]
    items = [replace(item, label=place[item.label] if item.label >= 0 else -1) for item in test.items]
    return replace(test, classes=[*classes, UNKNOWN], items=items)
