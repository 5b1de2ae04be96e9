"""Charts of numbers: confusion, calibration, curves, episodes."""

import numpy as np
from matplotlib.figure import Figure

from studio.figures.style import COLOURS, figure, labelled, short
from studio.metrics import reliability


def confusion_figure(matrix: np.ndarray, classes: list[str], most: int = 40) -> Figure:
    """Confusion counts [C, C] as shares of each true class; of many classes, the `most` confused ones."""
    if len(classes) > most:
        errors = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * np.diag(matrix)
        chosen = np.sort(np.argsort(-errors, kind="stable")[:most])
        matrix, classes = matrix[np.ix_(chosen, chosen)], [classes[i] for i in chosen]
    size = float(np.clip(2.6 + 0.32 * len(classes), 3.6, 12))
    made = figure(size + 0.8, size)
    axes = made.add_subplot()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [short(name) for name in classes]
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted", ylabel="true")
    if len(classes) <= 20:
        for (row, column), count in np.ndenumerate(matrix):
            if count:
                colour = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
    labelled(axes)
    return made


def reliability_figure(probabilities: np.ndarray, labels: np.ndarray) -> Figure:
    """Accuracy beside confidence, bin by bin; on the diagonal confidence can be believed."""
    mean, hit, count = reliability(probabilities, labels)
    made = figure(4.6, 4.0)
    axes = made.add_subplot()
    full = count > 0
    axes.plot([0, 1], [0, 1], color="#999999", linestyle="--", linewidth=1, label="ideal")
    axes.bar(mean[full], hit[full], width=0.05, color=COLOURS[0], alpha=0.35)
    axes.plot(mean[full], hit[full], "o-", color=COLOURS[0], label="this model")
    for x, y, n in zip(mean[full], hit[full], count[full], strict=True):
        axes.annotate(str(n), (x, y), textcoords="offset points", xytext=(0, 6), ha="center", fontsize=7)
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1.03), ylim=(0, 1.08))
    axes.legend(frameon=False, loc="upper left")
    return made


def curves_figure(history: list[dict[str, float]]) -> Figure:
    """Loss and accuracy on the validation images by epoch."""
    made = figure(7.2, 3.0)
    epochs = [entry["epoch"] for entry in history]
    for place, name in enumerate(("loss", "accuracy"), start=1):
        axes = made.add_subplot(1, 2, place)
        axes.plot(epochs, [entry[name] for entry in history], "o-", color=COLOURS[place - 1], markersize=3)
        axes.set(xlabel="epoch", title=f"validation {name}")
        axes.grid(alpha=0.25)
    return made


def episodes_figure(accuracies: np.ndarray, title: str = "") -> Figure:
    """How the accuracies of the episodes are spread, with their mean."""
    made = figure(5.2, 3.2)
    axes = made.add_subplot()
    axes.hist(accuracies, bins=np.linspace(0, 1, 31), color=COLOURS[0], alpha=0.8)
    axes.axvline(float(np.mean(accuracies)), color=COLOURS[1], label=f"mean {np.mean(accuracies):.3f}")
    axes.set(xlabel="accuracy of an episode", ylabel="episodes", xlim=(0, 1.02), title=title)
    axes.legend(frameon=False)
    return made
