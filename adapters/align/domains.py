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
    """Features [n, d] of one domain, labels [n] (-1: none) and their class names; `parts` names several sources."""

    x: np.ndarray
    y: np.ndarray
    classes: list[str]
    parts: np.ndarray | None = None
    images: bool = False


@dataclass
class Pair:
    """Source and target on the same classes. Target labels (-1: none) are for the score alone."""

    xs: np.ndarray
    ys: np.ndarray
    xt: np.ndarray
    yt: np.ndarray
    classes: list[str]
    parts: np.ndarray | None = None
    note: str = ""


def open_domain(job: Job, spec: str, backbone: Any, what: str) -> Domain:
    """A domain of feature vectors as it is, one of images through `backbone` and the feature cache."""
    found = open_data(spec, limits_of(job.home))
    if isinstance(found, FeatureSet):
        return Domain(np.asarray(found.x, np.float64), found.y, found.classes, found.domains)
    if backbone is None:
        raise DataError(f"{what}: {spec} holds images; this run has no backbone for them.")
    return _embedded(job, found, backbone, what)


def backbone_for(job: Job, specs: list[str]) -> Any:
    """The run's backbone on its device, or None where no spec holds images."""
    if not any(isinstance(open_data(spec, limits_of(job.home)), Dataset) for spec in specs):
        return None
    model = job.recipe.model
    return registry.backbone(model.backbone, home=job.home, image_size=model.image_size).to(job.device)


def pair_of(source: Domain, target: Domain) -> Pair:
    """Both domains on the classes they share by name, and a note where these are not all.

    Raises DataError where the source has no labels, or fewer than two classes are shared.
    """
    if (source.y < 0).all():
        raise DataError("data.source: no labels were found. Alignment learns from the source's labels.")
    if (target.y < 0).all():
        labelled = source.y >= 0
        parts = None if source.parts is None else source.parts[labelled]
        note = "The target has no labels: nothing can be scored, the predictions are in the checkpoint's hands."
        return Pair(source.x[labelled], source.y[labelled], target.x, target.y, source.classes, parts, note)
    ours = {source.classes[label] for label in np.unique(source.y[source.y >= 0])}
    theirs = {target.classes[label] for label in np.unique(target.y[target.y >= 0])}
    shared = [name for name in source.classes if name in ours & theirs]
    if len(shared) < 2:
        found = f"only the class {shared[0]}" if shared else "no class"
        raise DataError(
            f"The domains share {found} by name; at least two classes are needed. "
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
    parts = None if source.parts is None else source.parts[keep_s]
    return Pair(source.x[keep_s], ys[keep_s], target.x[keep_t], yt[keep_t], shared, parts, note)


def reveal(yt: np.ndarray, per_class: int, classes: list[str], seed: int) -> np.ndarray:
    """Rows of the target whose labels a FewLabels method is told: `per_class` a class, seeded.

    Raises DataError where no class has a labelled sample to spare.
    """
    rng = np.random.default_rng(seed)
    few = [rng.permutation(np.flatnonzero(yt == label))[:per_class] for label in range(len(classes))]
    chosen = np.sort(np.concatenate(few))
    labelled = int((yt >= 0).sum())
    if len(chosen) == 0:
        raise DataError("data.target: this method is told a few target labels, but the target has none.")
    if len(chosen) >= labelled:
        raise UsageError(
            f"params.labelled_per_class: {per_class} a class reveals all {labelled} target labels; "
            "nothing would be left to score. Set a smaller number."
        )
    return chosen


def _embedded(job: Job, dataset: Dataset, backbone: Any, what: str) -> Domain:
    features, kept = features_of(job, dataset, backbone, what)
    names = [item.domain for item in kept.items]
    parts = np.array([str(name) for name in names]) if len(set(names)) > 1 else None
    return Domain(np.asarray(features, np.float64), kept.labels, kept.classes, parts, images=True)


def _relabel(domain: Domain, shared: list[str]) -> np.ndarray:
    place = {name: index for index, name in enumerate(shared)}
    table = np.array([place.get(name, -1) for name in domain.classes] + [-1])
    return table[domain.y]  # label -1 reads the last entry


def _named(names: set[str] | list[str], most: int = 12) -> str:
    found = sorted(names)
    shown = ", ".join(found[:most]) + (", ..." if len(found) > most else "")
    return f" ({shown})" if found else " (none)"
