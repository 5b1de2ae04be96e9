"""The two domains of a run as features: opened, embedded, and brought to the classes that both have."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from studio.core import registry
from studio.core.errors import DataError, UsageError
from studio.core.procedure import Job
from studio.data import Dataset, FeatureSet, open_data
from studio.data.files.limits import limits_of
from studio.data.load_split import features_of


@dataclass
class Domain:
    """Features [n, d] of one domain, labels [n] (-1: none) and their class names.

    `sample_domain` [n] names the domain of each row where several were joined.
    """

    x: np.ndarray
    y: np.ndarray
    classes: list[str]
    sample_domain: np.ndarray | None = None
    images: bool = False


@dataclass
class Pair:
    """What a method may see of source and target, on the same classes: xs [n, d], ys [n] and xt [m, d].

    It has no target label, so that no fit can reach one; they are in the `TargetTruth` that comes with it.
    """

    xs: np.ndarray
    ys: np.ndarray
    xt: np.ndarray
    classes: list[str]
    sample_domain: np.ndarray | None = None  # [n], the domain of each source row, where there are several
    note: str = ""


@dataclass(frozen=True)
class Revealed:
    """Rows [k] of the target and their labels [k]: all that a method of few labels is told."""

    rows: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class TargetTruth:
    """The target's labels [m], -1 where there is none: what predictions are scored by."""

    labels: np.ndarray

    def scored(self, revealed: Revealed | None = None) -> np.ndarray:
        """Rows [m] bool that have a label which no method was told."""
        rows = self.labels >= 0
        if revealed is not None:
            rows[revealed.rows] = False
        return rows

    def accuracy(self, guesses: np.ndarray, rows: np.ndarray) -> float:
        """Share of guesses [k] that are right on these rows (k of them)."""
        return float((guesses == self.labels[rows]).mean())


def open_domain(job: Job, spec: str, backbone: Any, what: str) -> Domain:
    """A domain of feature vectors as it is, one of images through `backbone` and the feature cache."""
    data = open_data(spec, limits_of(job.home))
    if isinstance(data, FeatureSet):
        return Domain(np.asarray(data.x, np.float64), data.y, data.classes, data.domains)
    if backbone is None:
        raise DataError(f"{what}: {spec} holds images; this run has no backbone for them.")
    return _embedded(job, data, backbone, what)


def backbone_for(job: Job, specs: list[str]) -> Any:
    """The run's backbone on its device, or None where no spec holds images."""
    if not any(isinstance(open_data(spec, limits_of(job.home)), Dataset) for spec in specs):
        return None
    model = job.recipe.model
    return registry.backbone(model.backbone, home=job.home, image_size=model.image_size).to(job.device)


def pair_of(source: Domain, target: Domain) -> tuple[Pair, TargetTruth]:
    """Both domains on the classes they share by name, with a note where these are not all; and the target's labels.

    Raises DataError where the source has no labels, or fewer than two classes are shared.
    """
    if (source.y < 0).all():
        raise DataError("data.source: no labels were found. Alignment learns from the source's labels.")
    if (target.y < 0).all():
        labelled = source.y >= 0
        note = "The target has no labels: nothing can be scored. The checkpoint predicts all the same."
        pair = Pair(
            source.x[labelled],
            source.y[labelled],
            target.x,
            source.classes,
            _rows(source.sample_domain, labelled),
            note,
        )
        return pair, TargetTruth(target.y)
    ours = {source.classes[label] for label in np.unique(source.y[source.y >= 0])}
    theirs = {target.classes[label] for label in np.unique(target.y[target.y >= 0])}
    shared = [name for name in source.classes if name in ours & theirs]
    if len(shared) < 2:
        common = f"only the class {shared[0]}" if shared else "no class"
        raise DataError(
            f"The domains share {common} by name; at least two classes are needed. "
            f"Only the source has{_named(ours - theirs)}; only the target has{_named(theirs - ours)}."
        )
    ys, yt = _relabel(source, shared), _relabel(target, shared)
    keep_s, keep_t = ys >= 0, (yt >= 0) | (target.y < 0)
    note = ""
    if ours != theirs:
        note = (
            f"The domains share {len(shared)} classes{_named(shared)}; worked on these. Left out: "
            f"of the source{_named(ours - theirs)}, of the target{_named(theirs - ours)}."
        )
    sample_domain = _rows(source.sample_domain, keep_s)
    pair = Pair(source.x[keep_s], ys[keep_s], target.x[keep_t], shared, sample_domain, note)
    return pair, TargetTruth(yt[keep_t])


def reveal(truth: TargetTruth, per_class: int, classes: list[str], seed: int) -> Revealed:
    """What a FewLabels method is told of the target's labels: `per_class` a class, seeded.

    Raises DataError where no class has a labelled sample to spare.
    """
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(np.flatnonzero(truth.labels == label))[:per_class] for label in range(len(classes))]
    rows = np.sort(np.concatenate(drawn))
    labelled = int((truth.labels >= 0).sum())
    if len(rows) == 0:
        raise DataError("data.target: this method is told a few target labels, but the target has none.")
    if len(rows) >= labelled:
        raise UsageError(
            f"params.labelled_per_class: {per_class} a class reveals all {labelled} target labels; "
            "nothing would be left to score. Set a smaller number."
        )
    return Revealed(rows, truth.labels[rows])


def _embedded(job: Job, dataset: Dataset, backbone: Any, what: str) -> Domain:
    features, kept = features_of(job, dataset, backbone, what)
    names = [item.domain for item in kept.items]
    sample_domain = np.array([str(name) for name in names]) if len(set(names)) > 1 else None
    return Domain(np.asarray(features, np.float64), kept.labels, kept.classes, sample_domain, images=True)


def _rows(sample_domain: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    return None if sample_domain is None else sample_domain[rows]


def _relabel(domain: Domain, shared: list[str]) -> np.ndarray:
    index = {name: number for number, name in enumerate(shared)}
    table = np.array([index.get(name, -1) for name in domain.classes] + [-1])
    return table[domain.y]  # label -1 reads the last entry


def _named(names: set[str] | list[str], most: int = 12) -> str:
    ordered = sorted(names)
    shown = ", ".join(ordered[:most]) + (", ..." if len(ordered) > most else "")
    return f" ({shown})" if ordered else " (none)"
