"""Retrieval drawn: the CMC curve, distances of same and different individuals, what is found and whom it lets in."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from studio.figures.style import COLOURS, INK, RIGHT, WRONG, figure, tidy


def cmc_figure(curves: Mapping[str, np.ndarray]) -> Figure:
    """Share of queries with a right one among the first k: curves [K] by name, from k = 1 on."""
    made = figure(5.2, 3.6)
    axes = made.add_subplot()
    for (name, curve), colour in zip(curves.items(), COLOURS * len(curves), strict=False):
        axes.plot(
            np.arange(1, len(curve) + 1), curve, color=colour, label=f"{name}: rank 1 {curve[0]:.3f}", linewidth=1.8
        )
    axes.set(xlabel="rank", ylabel="queries with a right one so far", ylim=(0, 1.02), xlim=(1, None))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    tidy(axes, "y")
    return made


def distances_figure(right: np.ndarray, wrong: np.ndarray) -> Figure:
    """How far the nearest right and the nearest wrong image of each query are; distances [Q] each, inf left out."""
    made = figure(5.2, 3.2)
    axes = made.add_subplot()
    right, wrong = (np.sqrt(values[np.isfinite(values)]) for values in (right, wrong))
    both = np.concatenate([right, wrong])
    edges = np.linspace(both.min(), both.max() + 1e-9, 41) if len(both) else np.linspace(0, 1, 41)
    for values, colour, name in ((right, RIGHT, "same individual"), (wrong, WRONG, "another")):
        axes.hist(values, edges, color=colour, alpha=0.6, label=name)
    axes.set(xlabel="distance of the nearest image of", ylabel="queries")
    axes.legend(frameon=False, fontsize=9)
    tidy(axes, "y")
    return made


def open_set_figure(false_alarms: np.ndarray, found: np.ndarray) -> Figure:
    """Share of individuals found at rank 1 [F] against the share of strangers taken for someone [F]."""
    made = figure(5.2, 3.4)
    axes = made.add_subplot()
    axes.plot(false_alarms, found, color=INK, linewidth=1.8)
    axes.set(xscale="log", xlabel="strangers taken for someone", ylabel="found at rank 1", ylim=(0, 1.02))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}%"))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    tidy(axes, "y")
    return made


#: what is watched of clusters, and its name for people
CLUSTER_NUMBERS = {
    "clusters": "clusters", "left_out": "images in no cluster", "silhouette": "silhouette",
    "one_camera": "in a cluster of one camera",
}  # fmt: skip


def clusters_figure(history: Sequence[Mapping[str, float]]) -> Figure:
    """Of the numbers of CLUSTER_NUMBERS those that were watched, epoch by epoch."""
    panels = {name: title for name, title in CLUSTER_NUMBERS.items() if name in history[0]}
    made = figure(3.2 * len(panels), 2.9)
    for place, ((name, title), colour) in enumerate(zip(panels.items(), COLOURS, strict=False), start=1):
        axes = made.add_subplot(1, len(panels), place)
        axes.plot(
            [entry["epoch"] for entry in history], [entry[name] for entry in history], "o-", color=colour, markersize=3
        )
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="epoch", title=title)
        if name in ("left_out", "one_camera"):
            axes.set_ylim(0, 1)
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        tidy(axes, "y")
    return made
