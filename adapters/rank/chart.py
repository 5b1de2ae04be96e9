"""The image of a ranking."""

import numpy as np
from matplotlib.figure import Figure

from studio.figures.style import COLOURS, figure, short


def bars_figure(names: list[str], values: np.ndarray, half_widths: np.ndarray, label: str) -> Figure:
    """Bars of values [B] with their 95% intervals, the best on top."""
    made = figure(7.2, 1.2 + 0.42 * len(names))
    axes = made.add_subplot()
    places = np.arange(len(names))[::-1]
    axes.barh(places, values, xerr=half_widths, color=COLOURS[0], alpha=0.8, height=0.6, capsize=3)
    axes.set_yticks(places, [short(name, 36) for name in names])
    axes.axvline(0, color="#999999", linewidth=0.8)
    axes.set(xlabel=label)
    axes.grid(axis="x", alpha=0.25)
    return made
