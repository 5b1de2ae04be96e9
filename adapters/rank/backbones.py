"""Which backbone suits a dataset: every score for every backbone, and how sure the order is."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Field, field_validator
from scipy.stats import kendalltau

from adapters.rank.base import Ranking, backbone_of
from adapters.rank.chart import bars_figure
from adapters.rank.resample import resampled
from adapters.rank.scores import FEATURE_SCORES, POSTERIOR_SCORES
from adapters.rank.source_classes import source_posteriors
from studio.core import registry
from studio.core.errors import DataError, StoppedByUser, UsageError
from studio.core.procedure import Job
from studio.core.registry import Params, register
from studio.data import Dataset
from studio.data.load_split import features_of, warn_of_skipped
from studio.data.splits import given_splits, with_images_only
from studio.metrics.intervals import NORMAL

SURE = 0.9  # below this share of first places the winner is called unsure
FLOOR = "studio/conv4"  # untrained: what a ranking must beat


class BackbonesParams(Params):
    backbones: list[str] = Field([], description="what to compare; none: all with weights here, and an untrained floor")
    order_by: Literal["logme", "h-score", "transrate", "gbc", "knn", "linear-probe", "leep", "nce"] = Field(
        "logme", description="the score that orders the table"
    )
    per_class: int = Field(100, ge=2, le=100_000, description="images a class at most, drawn with the seed")
    resamples: int = Field(
        50, ge=2, le=10_000, description="random halves of the images that say how sure the order is"
    )

    def backbone_names(self) -> list[str]:
        return self.backbones

    @field_validator("backbones", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        """A text such as `pip/a, studio/conv4` stands for a list."""
        return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


@dataclass
class Ranked:
    """One backbone: its features [n, d], its source-class probabilities [n, Z], and its scores by name."""

    name: str
    features: np.ndarray
    posteriors: np.ndarray
    source_classes: str
    scores: dict[str, float]

    def array(self, score: str) -> np.ndarray:
        """What this score reads."""
        return self.posteriors if score in POSTERIOR_SCORES else self.features


@register("rank/backbones")
class Backbones(Ranking):
    """Orders backbones for a dataset without training any of them.

    LogME (You et al. 2021) orders by default; H-score, TransRate, GBC, LEEP, NCE stand beside it, with the accuracy
    of nearest neighbours and of a linear probe as references that cost more. Only data.train is looked at.
    """

    title = "Order backbones by transferability"
    paper = "You et al. 2021 (LogME)"
    Params = BackbonesParams

    def rank(self, job: Job) -> dict[str, Any]:
        params, seed = self.params, job.recipe.train.seed
        names = params.backbones or usable()
        check_names(names)
        dataset = chosen_images(job, params.per_class)
        found: list[Ranked] = []
        for name in names:
            entry, dataset = scored(job, name, dataset)
            found.append(entry)
        found.sort(key=lambda entry: -entry.scores[params.order_by])
        score = {**FEATURE_SCORES, **POSTERIOR_SCORES}[params.order_by]
        values = resampled(
            score,
            [entry.array(params.order_by) for entry in found],
            dataset.labels,
            params.resamples,
            seed,
            lambda done, total: job.events.progress("how sure the order is", done, total),
            job.should_stop,
        )
        return report(job, found, values, dataset, params.order_by)


def usable() -> list[str]:
    """The backbones whose weights are on this machine, and the untrained floor."""
    names = [row["name"] for row in registry.backbones() if row["usable"] and row["name"].startswith("pip/")]
    return [*names, FLOOR]


def chosen_images(job: Job, per_class: int) -> Dataset:
    """Labelled images of data.train, at most `per_class` a class; classes of one image are left out with a warning."""
    train, _, _ = given_splits(job.recipe.data, job.home)
    warn_of_skipped(job, train.skipped)
    labels = train.labels
    draw = np.random.default_rng(job.recipe.train.seed)
    rows: list[int] = []
    alone: list[str] = []
    for label, name in enumerate(train.classes):
        members = draw.permutation(np.flatnonzero(labels == label))[:per_class]
        if len(members) == 1:
            alone.append(name)
        else:
            rows += members.tolist()
    if alone:
        job.events.warning(f"left out {len(alone)} classes with one image only: {', '.join(alone[:5])}.")
    kept = with_images_only(train.subset(sorted(rows)))
    if len(kept.classes) < 2:
        raise DataError(
            f"{train.spec}: {len(kept.classes)} of {len(train.classes)} classes have two images or more; a ranking "
            "needs at least two such classes."
        )
    if len(kept) < len(train):
        job.events.note(f"Ranked on {len(kept)} of {len(train)} images, at most {per_class} a class.")
    return kept


def scored(job: Job, name: str, dataset: Dataset) -> tuple[Ranked, Dataset]:
    """One backbone with all its scores, and the images that could be read."""
    backbone = backbone_of(job, name)
    features, kept = features_of(job, dataset, backbone, f"the images by {name}")
    y = kept.labels
    try:
        theta, origin = source_posteriors(backbone, features, len(np.unique(y)), job.recipe.train.seed)
        entry = Ranked(name, features, theta, origin, {})
        total = len(FEATURE_SCORES) + len(POSTERIOR_SCORES)
        for number, (score, function) in enumerate({**FEATURE_SCORES, **POSTERIOR_SCORES}.items()):
            if job.should_stop():
                raise StoppedByUser("Stopped between two scores; the features are kept.")
            entry.scores[score] = function(entry.array(score), y)
            job.events.progress(f"scores of {name}", number + 1, total)
    except DataError as error:
        raise DataError(f"{name} on {kept.spec}: {error}") from error
    return entry, kept


def report(job: Job, found: list[Ranked], values: np.ndarray, dataset: Dataset, order_by: str) -> dict[str, Any]:
    """Table, figure and sentences; `found` is in order, `values` [resamples, B] are its scores on the halves."""
    names = [entry.name for entry in found]
    best = np.array([entry.scores[order_by] for entry in found])
    half_widths = NORMAL * values.std(axis=0, ddof=1)
    first = first_shares(values)
    others = [score for score in (*FEATURE_SCORES, *POSTERIOR_SCORES) if score != order_by]
    job.table(
        "ranking",
        ["backbone", order_by, "±95%", "first", *others, "source classes"],
        [
            [entry.name, entry.scores[order_by], width, share, *(entry.scores[s] for s in others), entry.source_classes]
            for entry, width, share in zip(found, half_widths.tolist(), first.tolist(), strict=True)
        ],
    )
    job.figure("ranking", bars_figure(names, best, half_widths, f"{order_by} with its 95% interval (higher is better)"))
    job.events.note(
        f"`first` is the share of {len(values)} random halves of the images in which {order_by} puts a backbone first."
    )
    if len(found) > 1:
        say_how_sure(job, names, first, order_by)
    if len({entry.source_classes for entry in found}) > 1:
        job.events.note(
            "leep and nce read the classifier that came with the weights (imagenet), or a Gaussian mixture of the "
            "features where there is none (mixture, as in N-LEEP); only numbers of one kind compare."
        )
    tau = [kendalltau(row, best).statistic for row in values] if len(found) > 1 else [1.0]
    return {
        "best": names[0], "best_first_share": float(first[0]), "order_tau": float(np.mean(tau)), "order": names,
        "order_by": order_by, "images": len(dataset), "classes": len(dataset.classes),
        "scores": {entry.name: entry.scores for entry in found},
    }  # fmt: skip


def first_shares(values: np.ndarray) -> np.ndarray:
    """How often each backbone is first [B] in scores [resamples, B]; ties share the place."""
    first = values == values.max(axis=1, keepdims=True)
    return (first / first.sum(axis=1, keepdims=True)).mean(axis=0)


def say_how_sure(job: Job, names: list[str], first: np.ndarray, order_by: str) -> None:
    if first[0] < SURE:
        rivals = [name for name, share in zip(names[1:], first[1:], strict=True) if share >= 1 - SURE]
        job.events.warning(
            f"{names[0]} is first by {order_by}, but in only {first[0]:.0%} of the halves: "
            f"{', '.join(rivals) or 'another'} may be as good. More images would tell; so would trying both."
        )
    else:
        job.events.note(f"{names[0]} is first by {order_by}, and in {first[0]:.0%} of the halves.")
    if names[0] == FLOOR:
        job.events.warning(f"{FLOOR} is untrained, yet first: no backbone here knows anything of use for these images.")


def check_names(names: list[str]) -> None:
    """Raises UsageError for a backbone named twice."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"params.backbones: {', '.join(twice)} is named twice.")
