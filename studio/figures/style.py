"""The look that all figures share."""

import warnings
from functools import cache

from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito 2008: eight colours that colour-blind eyes tell apart
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000"]
CJK = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Source Han Sans SC",
    "Microsoft YaHei",
    "PingFang SC",
    "WenQuanYi Zen Hei",
)


@cache
def fonts() -> list[str]:
    """DejaVu Sans, then a font with Chinese characters if the machine has one."""
    known = {font.name for font in font_manager.fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in CJK if name in known)]


def figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches."""
    warnings.filterwarnings("ignore", message="Glyph .* missing from font")
    return Figure(figsize=(width, height), layout="constrained")


def labelled(axes: Axes) -> None:
    """Sets the shared fonts on every text of the axes."""
    for text in (*axes.get_xticklabels(), *axes.get_yticklabels(), axes.title, axes.xaxis.label, axes.yaxis.label):
        text.set_fontfamily(fonts())


def short(name: str, most: int = 18) -> str:
    """A class name that fits on an axis."""
    return name if len(name) <= most else name[: most - 1] + "…"
