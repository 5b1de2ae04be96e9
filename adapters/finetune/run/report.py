"""What a classify run shows of itself: numbers by their contract names, tables and images."""

from typing import Any

import numpy as np

from studio.core.procedure import Job
from studio.data import Dataset, read_image
from studio.figures import confusion_figure, curves_figure, grid_figure, per_class_figure, reliability_figure
from studio.metrics import classification_report, confusion, per_class
from studio.metrics.expected import SHARED, expected_from_held_out

MISTAKES = 12


def report(
    job: Job,
    probabilities: np.ndarray,
    dataset: Dataset,
    history: list[dict[str, float]] | None = None,
    trust: float = SHARED,
) -> dict[str, Any]:
    """Metrics of probabilities [N, C] on `dataset`; figures and tables go into the run.

    `trust`: how far the images are independent of the training, see studio.metrics.expected.
    """
    labels, classes = dataset.labels, dataset.classes
    guesses = probabilities.argmax(axis=1)
    counts = confusion(labels, guesses, len(classes))
    job.figure("confusion", confusion_figure(counts, classes))
    job.figure("classes", per_class_figure(counts, classes))
    job.figure("reliability", reliability_figure(probabilities, labels))
    if history:
        job.figure("curves", curves_figure(history))
    rows = per_class(labels, guesses, classes)
    job.table("per class", ["class", "precision", "recall", "f1", "images"], rows)
    _mistakes(job, probabilities, dataset)
    expected = expected_from_held_out(labels, guesses, len(classes), trust)
    return {**classification_report(probabilities, labels), **expected}


def _mistakes(job: Job, probabilities: np.ndarray, dataset: Dataset) -> None:
    """The most confident mistakes, as an image and a table."""
    labels, guesses = dataset.labels, probabilities.argmax(axis=1)
    wrong = np.flatnonzero(guesses != labels)
    worst = wrong[np.argsort(-probabilities[wrong].max(axis=1))][:MISTAKES]
    if len(worst) == 0:
        return
    items = [dataset.items[i] for i in worst]
    names = [(dataset.classes[guesses[i]], dataset.classes[labels[i]]) for i in worst]
    job.table(
        "most confident mistakes",
        ["image", "predicted", "true", "confidence"],
        [
            [item.name, *pair, round(float(probabilities[i].max()), 3)]
            for item, pair, i in zip(items, names, worst, strict=True)
        ],
    )
    images = [read_image(item.source, item.name, min_side=160) for item in items]
    job.figure("mistakes", grid_figure(images, [f"{guess}, is {true}" for guess, true in names]))
