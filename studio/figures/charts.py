"""Charts of numbers: confusion, accuracy by class, calibration, curves, episodes."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from studio.figures.style import COLOURS, FAINT, INK, QUIET, RIGHT, WRONG, figure, fonts, short, tidy, tint
from studio.metrics import ece, mean_ci95, reliability, wilson_ci95

COUNTED = 20  # classes up to which each cell of a confusion matrix shows its number
TITLES = {
    "loss": "validation loss", "accuracy": "validation accuracy", "map": "validation AP", "map_50": "validation AP50",
    "miou": "validation mIoU",
}  # fmt: skip


def confusion_figure(matrix: np.ndarray, classes: list[str], most: int = 40) -> Figure:
    """Confusion counts [C, C] as shares of each true class: blue where right, orange where wrong.

    Of more classes than `most`, those with most errors are shown.
    """
    total = len(classes)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    if total > most:
        errors = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * np.diag(matrix)
        chosen = np.sort(np.argsort(-errors, kind="stable")[:most])
        shares, matrix = shares[np.ix_(chosen, chosen)], matrix[np.ix_(chosen, chosen)]
        classes = [classes[i] for i in chosen]
    side = float(np.clip(2.4 + 0.3 * len(classes), 3.2, 11))
    made = figure(side + 0.8, side)
    axes = made.add_subplot()
    errors = ~np.eye(len(classes), dtype=bool)
    # a root makes few errors visible; a true class is one row
    axes.imshow(np.where(errors[..., None], tint(WRONG, shares**0.5), tint(RIGHT, shares)))
    _name_both_axes(axes, [short(name) for name in classes])
    axes.set(xlabel="predicted", ylabel="true")
    if total > most:
        axes.set_title(f"the {most} classes with most errors, of {total}")
    if len(classes) <= COUNTED:
        for (row, column), count in np.ndenumerate(matrix):
            if count:
                dark = shares[row, column] > 0.55
                axes.text(column, row, str(count), ha="center", va="center", color="white" if dark else INK, fontsize=8)
    tidy(axes)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set(visible=True, color=FAINT)
    return made


def per_class_figure(matrix: np.ndarray, classes: list[str], most: int = 30) -> Figure:
    """Accuracy of each true class with its 95% interval (Wilson), worst first; of many, the `most` worst.

    matrix: confusion counts [C, C]. Classes without images are left out.
    """
    counts, hits = matrix.sum(axis=1), np.diag(matrix)
    present = np.flatnonzero(counts)
    order = present[np.argsort(hits[present] / counts[present], kind="stable")][:most]
    shares = hits[order] / counts[order]
    bounds = np.array([wilson_ci95(int(hits[i]), int(counts[i])) for i in order]).reshape(-1, 2).T
    made = figure(6.4, 1.2 + 0.28 * max(len(order), 1))
    axes = made.add_subplot()
    places = np.arange(len(order))
    axes.barh(places, shares, height=0.62, color=RIGHT)
    spread = np.clip([shares - bounds[0], bounds[1] - shares], 0, None) if len(order) else None
    axes.errorbar(shares, places, xerr=spread, fmt="none", ecolor=INK, elinewidth=1, capsize=2)
    axes.set_yticks(places, [f"{short(classes[i], 24)}  ({counts[i]})" for i in order])
    axes.invert_yaxis()
    axes.set(xlabel="accuracy of the class, with its 95% interval (images in brackets)", xlim=(0, 1.005))
    if len(present) > most:
        axes.set_title(f"the {most} worst of {len(present)} classes")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    tidy(axes, grid="x")
    return made


def reliability_figure(probabilities: np.ndarray, labels: np.ndarray) -> Figure:
    """Accuracy beside confidence, bin by bin, and how many images each bin has; on the diagonal confidence is true."""
    mean, hit, count = reliability(probabilities, labels)
    made = figure(4.6, 4.8)
    above, below = made.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3.4, 1]})
    full, edges = count > 0, np.linspace(0, 1, len(count) + 1)
    above.plot([0, 1], [0, 1], color=QUIET, linestyle="--", linewidth=1)
    above.vlines(mean[full], mean[full], hit[full], color=WRONG, linewidth=2, label="gap")
    above.plot(mean[full], hit[full], "o-", color=RIGHT, markersize=4, label="this model")
    above.set(ylabel="accuracy", xlim=(0, 1.01), ylim=(0, 1.03))
    if full.any():
        above.set_title(f"calibration error (ECE) {ece(probabilities, labels):.3f}")
    above.legend(frameon=False, loc="upper left", fontsize=9)
    below.bar(edges[:-1], count, width=np.diff(edges), align="edge", color=RIGHT, edgecolor="white", linewidth=0.5)
    below.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    below.set(xlabel="confidence", ylabel="images")
    tidy(above, grid="both")
    tidy(below, grid="y")
    return made


def curves_figure(history: list[dict[str, float]]) -> Figure:
    """What was measured after each epoch: a panel for loss, accuracy and AP, as far as they are there.

    An entry has `epoch`, and may have `accuracy_ci95`, drawn as a band. The best accuracy is marked.
    """
    names = [name for name in TITLES if any(name in entry for entry in history)]
    made = figure(3.8 * max(1, len(names)), 3.0)
    for place, name in enumerate(names, start=1):
        axes = made.add_subplot(1, len(names), place)
        rows = [entry for entry in history if name in entry]
        epochs, values = (np.array([entry[key] for entry in rows], float) for key in ("epoch", name))
        colour = COLOURS[place - 1]
        axes.plot(epochs, values, "o-", color=colour, markersize=3)
        halves = np.array([entry.get(f"{name}_ci95", 0.0) for entry in rows])
        if halves.any():
            axes.fill_between(epochs, values - halves, values + halves, color=colour, alpha=0.18, linewidth=0)
        if name == "accuracy" and np.isfinite(values).any():
            best = int(np.nanargmax(values))
            axes.plot(epochs[best], values[best], "o", markersize=8, markerfacecolor="none", markeredgecolor=INK)
            axes.annotate(
                f"{values[best]:.3f}", (epochs[best], values[best]), xytext=(0, -14), textcoords="offset points",
                ha="center", fontsize=8, color=INK,
            )  # fmt: skip
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="epoch", title=TITLES[name])
        tidy(axes, grid="y")
    return made


def compared_curves_figure(histories: dict[str, list[dict[str, float]]]) -> Figure:
    """The epochs of several trainings, by name: a panel for loss and for accuracy, as far as they are there."""
    names = [name for name in TITLES if any(name in entry for history in histories.values() for entry in history)]
    made = figure(4.6 * max(1, len(names)), 3.4)
    for place, name in enumerate(names, start=1):
        axes = made.add_subplot(1, len(names), place)
        for number, (title, history) in enumerate(histories.items()):
            points = [(entry["epoch"], entry[name]) for entry in history if name in entry]
            axes.plot(
                *zip(*points, strict=True), label=title, marker="o", markersize=3,
                color=COLOURS[number % len(COLOURS)], linestyle=("-", "--", ":")[number // len(COLOURS) % 3],
            )  # fmt: skip
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="epoch", title=TITLES[name])
        tidy(axes, grid="y")
        if place == len(names):
            axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return made


def episodes_figure(accuracies: np.ndarray, title: str = "") -> Figure:
    """How the accuracies [T] of the episodes are spread, and their mean with its 95% interval."""
    made = figure(5.2, 3.2)
    axes = made.add_subplot()
    mean, half = mean_ci95(accuracies)
    lowest = float(np.floor(np.min(accuracies) * 10) / 10)
    axes.hist(accuracies, bins=np.linspace(lowest, 1, 21) if lowest < 1 else 20, color=RIGHT, edgecolor="white", lw=0.5)
    spread = f" ± {half:.3f}" if np.isfinite(half) else ""
    axes.axvline(mean, color=WRONG, label=f"mean {mean:.3f}{spread}")
    axes.set(xlabel="accuracy of an episode", ylabel="episodes", xlim=(min(lowest, 0.9), 1.01), title=title)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, loc="best", prop={"family": fonts(), "size": 9})
    tidy(axes, grid="y")
    return made


def _name_both_axes(axes: Axes, names: list[str]) -> None:
    """Class names down the side and, turned where they would touch, along the bottom."""
    flat = max(map(len, names), default=0) * len(names) <= 30
    axes.set_xticks(range(len(names)), names, rotation=0 if flat else 60, ha="center" if flat else "right")
    axes.set_yticks(range(len(names)), names)
