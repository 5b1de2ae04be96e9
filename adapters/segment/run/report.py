"""What a segment run shows of itself: mIoU and its kin by their convention, classes, maps beside the truth."""

from typing import Any

import numpy as np

from adapters.segment.data.decoded import MaskedSplit
from adapters.segment.run.judging import Maps
from studio.core.errors import UsageError, nearest
from studio.core.procedure import Job
from studio.data import read_image
from studio.data.masks.tables import SUBSETS
from studio.figures import confusion_figure, curves_figure, grid_figure
from studio.figures.masks import class_bars_figure, draw_errors, draw_mask
from studio.metrics.segmentation import ABSENT, Scores, boundary_f, per_image_iou, scores_of, segmentation_report

SHOWN = 4  # images beside their truth: the worst, and one at the median
OUTLINED = 40  # images whose boundaries are measured


def report(
    job: Job, split: MaskedSplit, matrices: list[np.ndarray], maps: Maps, history: list[dict[str, float]]
) -> dict[str, Any]:  # fmt: skip
    """Metrics of a scored split; figures and tables go into the run."""
    classes, settings = split.dataset.classes, job.recipe.eval
    only = only_of(settings.only, classes)
    total = np.sum(matrices, axis=0)
    scores = scores_of(total, settings.absent, only)
    metrics = segmentation_report(matrices, settings.absent)
    if only:
        metrics.update(miou=scores.miou, mpa=scores.mean_accuracy, mean_dice=scores.mean_dice)
        metrics.pop("miou_ci95")
    metrics = {name: _number(value) if isinstance(value, float) else value for name, value in metrics.items()}
    edges = _boundaries(split, maps)
    metrics["boundary_f"] = _number(np.nanmean(edges)) if np.isfinite(edges).any() else None
    metrics["miou_per_class"] = dict(zip(classes, map(_number, scores.iou), strict=True))
    metrics["convention"] = settings.absent
    job.events.note(_convention(settings.absent, only or [], split, scores.iou))
    _tell_of_classes(job, classes, scores, edges)
    shares = 100 * total[:, :-1] / np.maximum(total.sum(axis=1, keepdims=True), 1)
    job.figure("confusion", confusion_figure(shares.round().astype(np.int64), classes))
    if history:
        job.figure("curves", curves_figure(history))
    _show(job, split, matrices, maps)
    return metrics


def _tell_of_classes(job: Job, classes: list[str], scores: Scores, edges: np.ndarray) -> None:
    """The table of classes, and their bars."""
    columns = (scores.iou, scores.accuracy, scores.precision, scores.dice, edges, 100 * scores.share)
    rows = [[name, *map(_number, values)] for name, *values in zip(classes, *columns, strict=True)]
    names = ["class", "IoU", "accuracy", "precision", "Dice", "boundary F", "% of pixels"]
    job.table("per class", names, rows)
    job.figure("classes", class_bars_figure(list(map(_number, scores.iou)), classes, scores.miou, "IoU of the class"))


def only_of(names: list[str], classes: list[str]) -> list[int] | None:
    """The indices of the classes that count in means, named alone or by a set of them; None for all.

    Raises UsageError for a name that is none.
    """
    every = [single for name in names for single in SUBSETS.get(name, [name])]
    for name in every:
        if name not in classes:
            raise UsageError(f"eval.only: there is no class {name!r}.{nearest(name, [*classes, *SUBSETS])}")
    return [classes.index(name) for name in every] or None


def _convention(absent: str, only: list[int], split: MaskedSplit, iou: np.ndarray) -> str:
    """The words that belong beside the numbers."""
    void = split.counts[:, -1].sum() / max(1, split.counts.sum())
    left_out = [name for name, value in zip(split.dataset.classes, iou, strict=True) if not np.isfinite(value)]
    said = f"Scored at the masks' own size; void pixels ({100 * void:.1f} %) take no part. Absent classes ({absent}): "
    said += f"{ABSENT[absent]}."
    if only:
        said += f" Means are over {len(only)} of {len(iou)} classes (eval.only)."
    elif left_out:
        said += f" Left out of the mean: {', '.join(left_out[:12])}."
    return said


def _boundaries(split: MaskedSplit, maps: Maps) -> np.ndarray:
    """The boundary F of each class, float64 [C], mean over the first images."""
    values = np.full((min(OUTLINED, len(maps)), len(split.dataset.classes)), np.nan)
    for place, row in enumerate(sorted(maps)[:OUTLINED]):
        for label in np.flatnonzero(split.counts[row, :-1]):
            values[place, label] = boundary_f(split.maps[row], maps[row], int(label))
    known = np.isfinite(values)
    return np.where(known.any(axis=0), np.nansum(values, axis=0) / np.maximum(known.sum(axis=0), 1), np.nan)


def _show(job: Job, split: MaskedSplit, matrices: list[np.ndarray], maps: Maps) -> None:
    """Images with their truth, what was said, and where that is wrong."""
    each, classes = per_image_iou(matrices), split.dataset.classes
    order = np.argsort(np.nan_to_num(each, nan=2.0), kind="stable")
    chosen = list(dict.fromkeys([*order[: SHOWN - 1].tolist(), int(order[len(order) // 2])]))
    images, captions = [], []
    for row in chosen:
        item = split.dataset.items[row]
        image = read_image(item.source, item.name)
        images += [
            image, draw_mask(image, split.maps[row], classes), draw_mask(image, maps[row], classes),
            draw_errors(image, maps[row], split.maps[row]),
        ]  # fmt: skip
        captions += [item.name, "truth", f"this model: IoU {each[row]:.3f}", "wrong"]
    job.figure("masks", grid_figure(images, captions, columns=4, tile=2.6))


def _number(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None
