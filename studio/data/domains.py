"""Domains of any task: sources with their truth, and a target whose items are of a type that has none.

`blind` takes the truth away: a `TargetItem` has no label and no boxes, not as a convention but as a type, so that
a method which asks for them fails.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from studio.core.errors import UsageError
from studio.core.home import Home
from studio.data.items import Dataset, FeatureSet, ImageSource, Item, Skipped
from studio.data.splits import images

Data = TypeVar("Data", Dataset, FeatureSet)


@dataclass(frozen=True)
class TargetItem:
    """An image of the target: where its pixels are, its domain and its camera if known."""

    name: str
    source: ImageSource
    domain: str | None = None
    camera: str | None = None


@dataclass
class TargetSet:
    """Images of the target. It has no labels and no classes; readers and the feature cache take it as a Dataset."""

    spec: str
    items: list[TargetItem]
    skipped: list[Skipped] = field(default_factory=list)
    splits: dict[str, list[int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.items)

    def subset(self, indices: Iterable[int]) -> "TargetSet":
        """The items at `indices`, in that order, without split marks."""
        return replace(self, items=[self.items[int(i)] for i in indices], splits={}, skipped=[])


@dataclass
class Domains:
    """`train` and `val` of the source, the `target` without its truth, and what is scored: `test`, or None."""

    train: Dataset
    val: Dataset
    target: TargetSet
    test: Dataset | None
    note: str


def blind(dataset: Dataset) -> TargetSet:
    """The images of a target alone."""
    items = [TargetItem(item.name, item.source, item.domain, item.camera) for item in dataset.items]
    return TargetSet(dataset.spec, items, dataset.skipped)


def require_domains(source: str | None, target: str | None, who: str) -> None:
    """Raises UsageError where a domain is not named; `who` is what needs both."""
    for key, spec in (("source", source), ("target", target)):
        if not spec:
            raise UsageError(f"data.{key}: nothing is named; {who} needs data.source and data.target.")


def target_of(spec: str, test: str | None, home: Home | None = None) -> tuple[Dataset, Dataset, str]:
    """What is learned of a target, what of it may be scored, and in words which images those are.

    The latter is what `test` names, else the target's own test or val split, else the very images that are learned.
    """
    whole = images(spec, home)
    learned = whole.part("train") if "train" in whole.splits else whole
    if test:
        given = images(test, home)
        return learned, (given.part("test") if "test" in given.splits else given), f"{len(given)} images of data.test"
    for name in ("test", "val"):
        if name in whole.splits:
            part = whole.part(name)
            return learned, part, f"{len(part)} images of the target's {name} split"
    return learned, learned, "the very images of the target it was adapted to"


def domain_ids(items: Iterable[Item | TargetItem]) -> tuple[np.ndarray, list[str]]:
    """Each item's domain as an index int64 [N] into the domains' names, in the order in which they come."""
    named = [item.domain or "" for item in items]
    names = list(dict.fromkeys(named))
    index = {name: number for number, name in enumerate(names)}
    return np.array([index[name] for name in named], np.int64), names


def ids_of_several(items: Iterable[Item | TargetItem]) -> np.ndarray | None:
    """As the ids of `domain_ids`; None where all are of one domain."""
    ids, names = domain_ids(items)
    return ids if len(names) > 1 else None


def by_domain(data: Data) -> dict[str, Data]:
    """The joined parts by name; one part under its spec where nothing was joined."""
    if "," not in data.spec:
        return {data.spec: data}
    domains = data.domains if isinstance(data, FeatureSet) else np.array([str(item.domain) for item in data.items])
    return {str(name): rows_of(data, np.flatnonzero(domains == name)) for name in dict.fromkeys(domains)}


def leave_one_out(data: Data) -> Iterator[tuple[str, Data, Data]]:
    """For each domain of joined data: its name, the other domains, and itself. Raises UsageError for a single one."""
    parts = by_domain(data)
    if len(parts) < 2:
        raise UsageError(f"{data.spec}: one domain; leaving one out needs several, joined by commas.")
    names = data.domains if isinstance(data, FeatureSet) else np.array([str(item.domain) for item in data.items])
    for name, held_out in parts.items():
        yield name, rows_of(data, np.flatnonzero(names != name)), held_out


def rows_of(data: Data, rows: np.ndarray) -> Data:
    """The rows of a data set of either kind."""
    if not isinstance(data, FeatureSet):
        return data.subset(rows)
    domains = None if data.domains is None else data.domains[rows]
    return replace(data, x=data.x[rows], y=data.y[rows], domains=domains)
