"""The domains of a run: sources with what is held out of each, and the unseen one; refused where they don't fit."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from adapters.generalize.task import GeneralizeData
from studio.core.errors import DataError, UsageError
from studio.core.home import Home
from studio.data import Dataset
from studio.data.domains import by_domain, domain_ids
from studio.data.files.digests import digests
from studio.data.splits import HELD_OUT, images, relabel, require_classes, some, stratified

LEAST = 2  # images of each source a step: variances, and the halves of IRM's penalty


@dataclass
class DomainSplits:
    """Images of the sources to learn from and to choose by, those of the unseen domain or None, and a note on both."""

    train: Dataset
    val: Dataset
    unseen: Dataset | None
    note: str

    @property
    def sources(self) -> list[str]:
        """The sources' names, in the order in which `train` has them."""
        return domain_ids(self.train.items)[1]


def resolve_domains(data: GeneralizeData, seed: int, home: Home | None = None) -> DomainSplits:
    """The domains of a recipe. A fifth of each class of each source is held out, unless the sources have a val split.

    Raises UsageError where fewer than two sources are named, DataError where one has unlabelled images or lacks a
    class, or the target has a class that the sources have not, or no labels.
    """
    if not data.sources:
        raise UsageError("data.sources: nothing is named; expected at least two domains, such as folder:a,folder:b.")
    whole = images(data.sources, home)
    require_sources(by_domain(whole), whole.classes)
    train, val, note = _held_out(whole, seed, home)
    unseen, about = (None, "") if not data.test else _unseen(data.test, whole, home)
    return DomainSplits(train, val, unseen, note + about)


def require_sources(sources: Mapping[str, Dataset], classes: list[str]) -> None:
    """Raises UsageError for a single source, DataError for unlabelled images or classes that are not in each."""
    if len(sources) < 2:
        raise UsageError(
            f"data.sources: found one domain ({', '.join(sources)}); expected at least two, joined by commas, such as "
            "folder:photo,folder:sketch. From one domain alone, task classify learns."
        )
    for name, source in sources.items():
        unlabelled = int((source.labels < 0).sum())
        if source.boxed or unlabelled:
            found = f"{unlabelled} of {len(source)} images have no label" if unlabelled else "it has boxes, no classes"
            raise DataError(f"data.sources: {name}: {found}. Sources teach by labels: expected one folder a class.")
    present = {name: {classes[label] for label in np.unique(source.labels)} for name, source in sources.items()}
    shared = set.intersection(*present.values())
    if len(shared) < 2:
        found = "; ".join(f"{name}: {some(sorted(names))}" for name, names in present.items())
        raise DataError(
            f"data.sources: the classes disagree, {len(shared) or 'none'} is in every source ({found}). Classes are "
            "matched by name; expected at least two in common."
        )
    for name, names in present.items():
        if missing := [one for one in classes if one not in names]:
            raise DataError(
                f"data.sources: {name} has no image of {some(missing)}, which other sources have. Each source needs "
                "every class: add images, or leave the class out of the others."
            )


def require_batches(splits: DomainSplits, batch_size: int) -> int:
    """Images of each source a step. Raises UsageError where a source has fewer, or a batch is too small to share."""
    each = batch_size // len(splits.sources)
    if each < LEAST:
        raise UsageError(
            f"train.batch_size: {batch_size} images a step are {each} of each of {len(splits.sources)} sources; "
            f"expected at least {LEAST * len(splits.sources)}."
        )
    for name, source in by_domain(splits.train).items():
        if len(source) < each:
            raise UsageError(
                f"data.sources: {name} has {len(source)} images to learn from, but a step takes {each} of each source. "
                f"Add images, or set train.batch_size to {len(source) * len(splits.sources)} or less."
            )
    return each


def _held_out(whole: Dataset, seed: int, home: Home | None) -> tuple[Dataset, Dataset, str]:
    if "val" in whole.splits:
        train, val = whole.part("train"), whole.part("val")
        return train, val, f"Validation: {len(val)} images of the sources' own val folders."
    domains, _ = domain_ids(whole.items)
    cells = domains * len(whole.classes) + whole.labels
    kept, held = stratified(cells, HELD_OUT, seed, digests([item.source for item in whole.items], home))
    if len(held) == 0:
        raise DataError(
            "data.sources: no class of a source has two different images; none can be held out. Add images."
        )
    note = f"Validation: {len(held)} of {len(whole)} images held out, of each class of each source, seed {seed}."
    return replace(whole.subset(kept), skipped=whole.skipped, remarks=whole.remarks), whole.subset(held), note


def _unseen(spec: str, sources: Dataset, home: Home | None) -> tuple[Dataset, str]:
    """What the target's labels score, and a sentence where some of its images are in the sources too."""
    target = images(spec, home)
    require_classes(target, 1)
    if (target.labels < 0).all():
        raise DataError(f"data.test: {spec} has no labels, and is there to be scored. Leave it out to train alone.")
    target = relabel(target.subset(np.flatnonzero(target.labels >= 0)), sources.classes, "test")
    known = set(digests([item.source for item in sources.items], home)) - {None}
    seen = sum(digest in known for digest in digests([item.source for item in target.items], home))
    leak = f" {seen} of the {len(target)} images of data.test are in the sources too: its score will be too good."
    return target, leak if seen else ""
