"""What a run of translation says at its end: numbers beside trivial answers, curves, images."""

from typing import Any

import numpy as np

from adapters.translate.data.decoded import Looks
from adapters.translate.films.clips import films_of
from adapters.translate.run.gallery import grid
from adapters.translate.run.judging import Judge, Scores
from adapters.translate.run.trivial import trivial_answers
from studio.core.errors import StudioError
from studio.core.procedure import Job
from studio.figures.charts import curves_figure
from studio.metrics.films import warping_error
from studio.metrics.intervals import mean_ci95


def report(
    job: Job, judge: Judge, outputs: list[np.ndarray], target: list[np.ndarray], history: list[dict[str, float]]
) -> dict[str, Any]:
    """The metrics of `outputs`, images uint8 [3, h, w] of `judge.held`; `target` are those that were learned from."""
    scores = judge(outputs)
    answers = {"this translator": scores}
    answers |= {name: judge(images) for name, images in trivial_answers(judge.held, target).items()}
    rows = [[name, *_row(values)] for name, values in answers.items()]
    rows.append(["images of the look that were learned from", *_row(_without_pairs(judge)(target))])
    distance = judge.features.distance
    job.table("beside trivial answers", ["answer", *columns(distance)], rows)
    not_said = "no FID or LPIPS" if distance == "perceptual" else "no FID"
    job.events.note(
        f"KID, the distance and {distance} see by {judge.features.name}, {len(outputs)} made and {len(judge.wanted)} "
        f"real images; {not_said}, and to be compared with the same network and count only."
    )
    if history:
        job.figure("curves", curves_figure(history))
    job.figure("samples", grid(judge.held, outputs, "translated"))
    return metrics_of(scores) | {"features": judge.features.name} | steadiness(job, judge.held, outputs)


def columns(perceptual: str) -> list[str]:
    """What the numbers of `_row` are, the distance of pairs by its name."""
    return ["PSNR (dB)", "±", "SSIM", "±", perceptual, "±", "KID", "±", "distance", "diversity"]


def steadiness(job: Job, held: Looks, outputs: list[np.ndarray]) -> dict[str, float]:
    """The warping error of films that were made, beside that of the films as they are; nothing of single images."""
    films = films_of(held.dataset)
    if not films:
        return {}
    try:
        own, other = (steadiness_of(held.images, shown, films) for shown in (outputs, held.images))
    except StudioError as error:
        job.events.warning(str(error))
        return {}
    return {"warping_error": round(own, 8), "warping_error_of_input": round(other, 8)}


def steadiness_of(frames: list[np.ndarray], shown: list[np.ndarray], films: list[list[int]]) -> float:
    """The mean warping error of films, each the rows of its frames in order."""
    errors = [warping_error([frames[row] for row in rows], [shown[row] for row in rows]) for rows in films]
    return float(np.mean(errors))


def metrics_of(scores: Scores) -> dict[str, Any]:
    """The numbers of a set of images by the names of metrics; intervals are half-widths of 95 %."""
    metrics: dict[str, Any] = {}
    for name, values in (("psnr", scores.psnr), ("ssim", scores.ssim), (scores.perceptual_name, scores.perceptual)):
        if len(values):
            mean, interval = mean_ci95(values)
            metrics |= {name: round(mean, 4), f"{name}_ci95": _number(interval)}
    metrics |= {"kid": _number(scores.kid), "kid_ci95": _number(scores.kid_ci95)}
    return metrics | {"distance": _number(scores.distance), "diversity": _number(scores.diversity)}


def _without_pairs(judge: Judge) -> Judge:
    held = Looks(judge.held.images, judge.held.dataset)
    return Judge(held, judge.wanted, judge.features)


def _row(scores: Scores) -> list[Any]:
    numbers = metrics_of(scores)
    pairs = [end for name in ("psnr", "ssim", scores.perceptual_name) for end in (name, f"{name}_ci95")]
    names = [*pairs, "kid", "kid_ci95", "distance", "diversity"]
    return [numbers.get(name) for name in names]


def _number(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None
