"""What a reid run shows of itself: CMC, mAP and mINP, the open set, distances, ranked strips of the gallery."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from adapters.reid.run.scoring import Scored
from studio.core.procedure import Job
from studio.data import read_image
from studio.figures import grid_figure
from studio.figures.retrieval import cmc_figure, distances_figure, open_set_figure
from studio.figures.style import INK, RIGHT, WRONG
from studio.metrics import mean_ci95
from studio.metrics.retrieval import Ranking, euclidean, joined, nearest

RANKS = (1, 5, 10)
ALARMS = {"dir_at_far_1": 0.01, "dir_at_far_10": 0.1}  # shares of strangers that are let in
SHOWN, FOUND = 6, 8  # queries of a figure, and images of the gallery beside each


def report(job: Job, trials: list[Scored], before: Sequence[Scored] = ()) -> dict[str, Any]:
    """Metrics of the trials, their means where there are several; figures and tables go into the run.

    `before` are the same trials before a method adapted: direct transfer.
    """
    numbers = [numbers_of(trial) for trial in trials]
    metrics: dict[str, Any] = {}
    for name in numbers[0]:
        mean, half = mean_ci95(np.array([each[name] for each in numbers]))
        metrics[name] = round(mean, 6) if np.isfinite(mean) else None
        if len(trials) > 1:
            metrics[f"{name}_ci95"] = round(half, 6)
    first = trials[0]
    metrics.update(
        splits=len(trials), queries=len(first.queries), gallery=len(first.answers),
        identities=len(np.unique(first.queries.identities[first.queries.identities >= 0])),
        left_out=int((~first.ranking.counted).sum()),
    )  # fmt: skip
    if len(trials) > 1:
        rows = [[i, *(round(each[name], 4) for name in each)] for i, each in enumerate(numbers, start=1)]
        job.table("splits", ["split", *numbers[0]], rows)
    metrics.update(_direct(job, metrics, before))
    whole = joined([trial.ranking for trial in trials])
    job.table("ranks", ["rank", "queries with a right one so far"], _cmc_rows(whole))
    curves = {job.method.title: whole.cmc(min(50, len(first.answers)))}
    if first.again is not None:
        curves["re-ranked"] = joined([trial.again for trial in trials if trial.again]).cmc(
            len(curves[job.method.title])
        )
    if before:
        curves["before adapting"] = joined([trial.ranking for trial in before]).cmc(min(50, len(first.answers)))
    job.figure("cmc", cmc_figure(curves))
    job.figure("distances", distances_figure(whole.right, whole.wrong))
    alarms = np.geomspace(1e-3, 1, 61)
    job.figure("open set", open_set_figure(alarms, whole.detection(alarms)))
    show_strips(job, first)
    return metrics


def _direct(job: Job, metrics: dict[str, Any], before: Sequence[Scored]) -> dict[str, float]:
    """The numbers before a method adapted; a warning where it made them worse."""
    if not before:
        return {}
    direct = {
        f"direct_{name}": round(float(np.mean([numbers_of(trial)[name] for trial in before])), 6)
        for name in ("rank1", "map")
    }
    if metrics["map"] < direct["direct_map"]:
        job.events.warning(
            f"Negative transfer, measured on the target's labels: mAP {metrics['map']:.3f} after {job.method.title}, "
            f"{direct['direct_map']:.3f} before. The labels chose nothing."
        )
    return direct


def numbers_of(trial: Scored) -> dict[str, float]:
    """The numbers of one trial, by their contract names; those of re-ranking end in _reranked."""
    ranking = trial.ranking
    alarms = {name: float(ranking.detection(share)) for name, share in ALARMS.items()}
    again = {} if trial.again is None else {f"{name}_reranked": value for name, value in _ranks(trial.again).items()}
    return {**_ranks(ranking), **alarms, **again}


def _ranks(ranking: Ranking) -> dict[str, float]:
    return {**{f"rank{k}": ranking.rank(k) for k in RANKS}, "map": ranking.map, "minp": ranking.minp}


def _cmc_rows(ranking: Ranking) -> list[list[Any]]:
    curve = ranking.cmc(50)
    return [[k, round(float(curve[k - 1]), 4)] for k in (1, 2, 5, 10, 20, 50)]


def show_strips(job: Job, trial: Scored) -> None:
    """Queries with what the gallery answers, nearest first: the worst ones, and some at equal steps up to the best."""
    if len(trial.queries) != len(trial.query.dataset) or not trial.ranking.counted.any():  # several asked together
        return
    chosen = _at_equal_steps(trial.ranking.precision[: len(trial.queries)])
    distances = euclidean(trial.query.embeddings, trial.gallery.embeddings)
    indices, values = nearest(distances, trial.queries, trial.answers, FOUND, chosen)
    tiles = list[tuple[Image.Image, str, str]]()
    for row, answers, far in zip(chosen, indices.tolist(), values.tolist(), strict=True):
        tiles.append(_asks(trial, row))
        tiles += [_answers(trial, row, index, distance) for index, distance in zip(answers, far, strict=True)]
    images, captions, frames = zip(*tiles, strict=True)
    job.figure("strips", grid_figure(images, captions, columns=FOUND + 1, frames=frames, tile=1.1))


def _at_equal_steps(precision: np.ndarray) -> list[int]:
    """Queries from the worst to the best; precision [Q] is NaN where there is none."""
    order = np.argsort(precision, kind="stable")[: int(np.isfinite(precision).sum())]
    return list(dict.fromkeys(order[np.linspace(0, len(order) - 1, SHOWN).round().astype(int)].tolist()))


def _asks(trial: Scored, row: int) -> tuple[Image.Image, str, str]:
    """A query's image, caption and frame."""
    item = trial.query.dataset.items[row]
    return read_image(item.source, item.name, min_side=128), f"asks, AP {trial.ranking.precision[row]:.2f}", INK


def _answers(trial: Scored, row: int, index: int, distance: float) -> tuple[Image.Image, str, str]:
    """What the gallery answers a query with: image, caption and frame; blank where there is no more."""
    if index < 0:
        return Image.new("RGB", (8, 8), "white"), "", "none"
    item = trial.gallery.dataset.items[index]
    right = trial.answers.identities[index] == trial.queries.identities[row]
    caption = f"{distance**0.5:.2f}" + (f", camera {item.camera}" if item.camera else "")
    return read_image(item.source, item.name, min_side=128), caption, RIGHT if right else WRONG
