"""Is a source worth transferring from? The gap between two domains, and a warning before it costs anything."""

from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import Field

from adapters.rank.base import Ranking, backbone_of
from adapters.rank.gaps import a_distance, coral, mmd
from adapters.rank.gaps.mmd import class_mmd, median_distance
from adapters.rank.scores import linear_probe
from studio.core.errors import DataError, StoppedByUser
from studio.core.procedure import Job
from studio.core.registry import Params, register
from studio.data import Dataset, FeatureSet, open_data
from studio.data.domains import blind, by_domain, require_domains, rows_of
from studio.data.files.limits import limits_of
from studio.data.load_split import features_of, warn_of_skipped

COLUMNS = ["source", "images", "gap to classes", "mmd", "class mmd", "a-distance", "coral", "source accuracy", "risk"]
TOLD_APART = 1.5  # A-distance: a linear classifier is right about the domain of 7 images in 8
TINY = 1e-9  # a class gap below it is none
RULE = (
    "Rule: `gap to classes` is the domains' MMD² over the mean MMD² of a source class and the other classes, in one "
    "kernel. At 1 or more the look of the images moves features further than their class does, so that what is "
    "learned on the source may name looks. It is a rule of thumb, not a bound; target labels were not used."
)


class GapParams(Params):
    warn_at: float = Field(1.0, gt=0, le=100, description="warn of negative transfer from this gap to classes on")
    per_domain: int = Field(2000, ge=10, le=100_000, description="images a domain at most, drawn with the seed")


@register("rank/gap")
class Gap(Ranking):
    """Measures how far data.target is from data.source in the features of model.backbone.

    MMD (Gretton et al. 2012), proxy A-distance (Ben-David et al. 2007) and CORAL distance (Sun and Saenko 2016);
    joined sources are measured one by one, the nearest first. Target labels are taken off before anything else.
    """

    title = "Domain gap and risk of negative transfer"
    paper = "Gretton et al. 2012; Ben-David et al. 2007"
    formula = (
        r"\mathrm{MMD}^2 = \mathbb{E}\,k(x, x') + \mathbb{E}\,k(z, z') "
        r"- 2\,\mathbb{E}\,k(x, z), \qquad \hat d_A = 2 (1 - 2 \epsilon)"
    )
    uses = ("data.source", "data.target")
    Params = GapParams

    def rank(self, job: Job) -> dict[str, Any]:
        sources, target = read_domains(job, self.params.per_domain)
        seed = job.recipe.train.seed
        measured = []
        for number, (name, (x, y)) in enumerate(sources.items()):
            if job.should_stop():
                raise StoppedByUser("Stopped between two sources; the features are kept.")
            measured.append(measure(name, x, y, target, seed))
            job.events.progress("gaps", number + 1, len(sources))
        measured.sort(key=lambda row: row["mmd"])
        for row in measured:
            row["risk"] = risk(row, self.params.warn_at)
        job.table("gap", COLUMNS, [list(row.values()) for row in measured])
        for row in measured:
            say(job, row, self.params.warn_at)
        job.events.note(RULE)
        nearest = measured[0]
        numbers = {key: nearest[key] for key in ("gap_to_classes", "mmd", "a_distance", "coral", "source_accuracy")}
        return {
            "best": nearest["source"], **numbers, "negative_transfer_risk": nearest["risk"] == "high",
            "sources": {row["source"]: row for row in measured},
        }  # fmt: skip


def measure(name: str, x: np.ndarray, y: np.ndarray, target: np.ndarray, seed: int) -> dict[str, Any]:
    """All measures of one source, features [n, d] with labels [n], against the target's features [m, d]."""
    scale = np.sqrt(((x - x.mean(axis=0)) ** 2).mean())  # one number, so that CORAL is free of the backbone's units
    if scale == 0:
        raise DataError(f"{name}: all features are equal; features that never change say nothing.")
    x, target = x / scale, target / scale
    bandwidth = median_distance(np.concatenate([x, target]).astype(np.float64))
    between = mmd(x, target, bandwidth)
    classes = float(class_mmd(x, y, bandwidth).mean())
    return {
        "source": name,
        "images": len(x),
        "gap_to_classes": max(between, 0.0) / max(classes, TINY),
        "mmd": between,
        "class_mmd": classes,
        "a_distance": a_distance(x, target, seed),
        "coral": coral(x, target),
        "source_accuracy": linear_probe(x, y, seed=seed),
    }


def risk(row: dict[str, Any], warn_at: float) -> str:
    """high from `warn_at` on; some from half of it, or where the domains are easily told apart; else low."""
    if row["gap_to_classes"] >= warn_at:
        return "high"
    return "some" if row["gap_to_classes"] >= warn_at / 2 or row["a_distance"] >= TOLD_APART else "low"


def say(job: Job, row: dict[str, Any], warn_at: float) -> None:
    """One sentence on one source, a warning where the risk is high."""
    told = f"a linear classifier tells the domain of {0.5 + row['a_distance'] / 4:.0%} of the images"
    gap = f"its gap to the target is {row['gap_to_classes']:.2f} times that between its classes, and {told}"
    if row["class_mmd"] <= TINY:
        job.events.warning(f"{row['source']}: this backbone does not tell its classes apart; try another backbone.")
    elif row["risk"] == "high":
        job.events.warning(
            f"{row['source']}: risk of negative transfer: {gap}. Align the domains, take a nearer source or another "
            "backbone, and compare with a few labelled target images before trusting it."
        )
    else:
        job.events.note(
            f"{row['source']}: {row['risk']} risk of negative transfer (warned of from {warn_at:g}): {gap}."
        )


def read_domains(job: Job, per_domain: int) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """Sources by name as (features [n, d], labels [n]) and the target's features [m, d], without labels."""
    data, draw = job.recipe.data, np.random.default_rng(job.recipe.train.seed)
    require_domains(data.source, data.target, "the gap between two domains")
    source, target = (open_data(spec, limits_of(job.home)) for spec in (data.source, data.target))
    if isinstance(source, FeatureSet) != isinstance(target, FeatureSet):
        raise DataError("data: one of source and target holds images, the other feature vectors; expected one kind.")
    parts = by_domain(source)
    parts = {name: labelled_rows(job, name, some(part, per_domain, draw)) for name, part in parts.items()}
    target = some(target, per_domain, draw)
    if isinstance(target, FeatureSet):
        return {name: (part.x, part.y) for name, part in parts.items()}, target.x
    warn_of_skipped(job, source.skipped)
    backbone = backbone_of(job, job.recipe.model.backbone)
    found = {}
    for name, part in parts.items():
        x, kept = features_of(job, replace(part, skipped=[]), backbone, name)
        found[name] = (x, kept.labels)
    return found, features_of(job, blind(target), backbone, "the target")[0]


def some(data: Dataset | FeatureSet, most: int, draw: np.random.Generator) -> Dataset | FeatureSet:
    """At most `most` rows, drawn."""
    return rows_of(data, np.sort(draw.permutation(len(data))[:most])) if len(data) > most else data


def labelled_rows(job: Job, name: str, data: Dataset | FeatureSet) -> Dataset | FeatureSet:
    """The rows whose class has at least two of them; the others are told of. Raises DataError where that is no two."""
    labels = data.y if isinstance(data, FeatureSet) else data.labels
    values, counts = np.unique(labels[labels >= 0], return_counts=True)
    rows = np.flatnonzero(np.isin(labels, values[counts > 1]))
    if (counts > 1).sum() < 2:
        raise DataError(
            f"data.source: {name} has {(counts > 1).sum()} classes with two labelled images or more; expected two such."
        )
    left = len(labels) - len(rows)
    if left:
        job.events.warning(f"{name}: left out {left} image{'s' * (left > 1)} without a label or alone in their class.")
    return rows_of(data, rows)
