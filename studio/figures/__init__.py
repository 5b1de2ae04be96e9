"""Figures of results, in matplotlib, that nobody else can change: no pyplot, no global state.

May use studio.core and studio.metrics. Colours are told apart by colour-blind eyes too; fonts fall back
to ones that have Chinese where the machine has them.
"""

from studio.figures.charts import (
    compared_curves_figure,
    confusion_figure,
    curves_figure,
    episodes_figure,
    per_class_figure,
    reliability_figure,
)
from studio.figures.grids import grid_figure
from studio.figures.heat import overlay
from studio.figures.maps import map_film, tsne_figure

__all__ = [
    "compared_curves_figure", "confusion_figure", "curves_figure", "episodes_figure", "grid_figure", "map_film",
    "overlay", "per_class_figure", "reliability_figure", "tsne_figure",
]  # fmt: skip
