"""What a run shows of episode scores: numbers by their contract names, tables and figures."""

from typing import Any

import numpy as np
import torch
from torch.nn import functional

from fewshot.evaluate import EpisodeScores
from fewshot.support import SupportSet
from studio.core.procedure import Job
from studio.figures import confusion_figure, episodes_figure, grid_figure

SHOWN, NEIGHBOURS = 6, 4
RIGHT, WRONG = "#1b7837", "#b2182b"


def metrics_of(result: EpisodeScores) -> dict[str, Any]:
    """accuracy (mean over episodes) and its 95% half-width, macro_f1, ece, episodes, episodes_per_s."""
    mean, half = result.interval
    return {
        "accuracy": mean,
        "accuracy_ci95": half,
        "macro_f1": result.macro_f1,
        "ece": result.ece,
        "episodes": len(result.accuracy),
        "episodes_per_s": round(len(result.accuracy) / result.seconds, 1),
    }


def tell_expected(job: Job, metrics: dict[str, Any]) -> None:
    """Says what the checkpoint will have on new photos, and what the interval over episodes is for."""
    if "expected_accuracy" not in metrics:
        return
    value, low, high = (metrics[f"expected_accuracy{end}"] for end in ("", "_low", "_high"))
    job.events.note(
        f"Of photos not yet seen the checkpoint will name about {value:.3f} right (95% interval {low:.2f} to "
        f"{high:.2f}): its own photos, left out in turn, say so. accuracy and its interval are over episodes of the "
        "photos given: good for comparing heads, not for photos to come."
    )


def show(job: Job, result: EpisodeScores, classes: list[str], title: str) -> None:
    """How episodes are spread, which classes are taken for which, and each class's own numbers."""
    job.figure("episodes", episodes_figure(result.accuracy, title))
    if result.confusion is not None:
        job.figure("confusion", confusion_figure(result.confusion, classes))
    job.table("per class", ["class", "precision", "recall", "f1", "queries"], per_class(result, classes))


def per_class(result: EpisodeScores, classes: list[str]) -> list[list[Any]]:
    """A row a class that was asked about."""
    precision = result.right / np.maximum(result.guessed, 1)
    recall = result.right / np.maximum(result.asked, 1)
    f1 = 2 * result.right / np.maximum(result.asked + result.guessed, 1)
    return [
        [classes[c], *(round(float(value[c]), 4) for value in (precision, recall, f1)), int(result.asked[c])]
        for c in np.flatnonzero(result.asked)
    ]


def show_neighbours(job: Job, support: SupportSet) -> None:
    """One photo of each of some classes, beside the photos most similar to it: green the same class, red another."""
    features = torch.from_numpy(support.features)
    features = functional.normalize(features - features.mean(0), dim=1)
    images, captions, frames = [], [], []
    for label, numbers in list(support.by_class())[:SHOWN]:
        similarity = features @ features[numbers[0]]
        similarity[numbers[0]] = -2
        near = similarity.topk(min(NEIGHBOURS, len(support) - 1))
        row = [(int(numbers[0]), label, "#888888")]
        for number, value in zip(near.indices.tolist(), near.values.tolist(), strict=True):
            name = support.classes[support.labels[number]]
            row.append((number, f"{name} {value:.2f}", RIGHT if name == label else WRONG))
        for number, caption, frame in row:
            thumbnail = support.thumbnail(number)
            if thumbnail is not None:
                images.append(thumbnail)
                captions.append(caption)
                frames.append(frame)
    if images:
        job.figure("nearest photos", grid_figure(images, captions, columns=NEIGHBOURS + 1, frames=frames))
