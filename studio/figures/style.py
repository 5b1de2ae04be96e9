"""The look that all figures share: paper white, few lines, colours that colour-blind eyes tell apart."""

import textwrap
import warnings
from functools import cache
from unicodedata import east_asian_width

import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

# Okabe and Ito 2008: eight colours that colour-blind eyes tell apart
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000"]
RIGHT, WRONG = COLOURS[:2]
INK, QUIET, FAINT = "#202124", "#9AA0A6", "#E8EAED"
CJK = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Serif CJK SC", "Noto Serif CJK JP", "Source Han Sans SC",
    "Microsoft YaHei", "SimHei", "PingFang SC", "Hiragino Sans GB", "Heiti SC", "Arial Unicode MS",
    "WenQuanYi Zen Hei", "WenQuanYi Micro Hei",
)  # fmt: skip


@cache
def fonts() -> list[str]:
    """DejaVu Sans, then a font with Chinese characters if the machine has one."""
    known = {font.name for font in font_manager.fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in CJK if name in known)]


def figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches."""
    warnings.filterwarnings("ignore", message="Glyph .* missing from font")
    return Figure(figsize=(width, height), layout="constrained")


def tidy(axes: Axes, grid: str | None = None) -> None:
    """Takes away what says nothing, draws a faint grid along `grid` (x, y or both), and sets the shared fonts."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(QUIET)
    axes.tick_params(color=QUIET, labelcolor=INK, labelsize=9)
    if grid:
        axes.grid(axis=grid, color=FAINT, linewidth=0.8)
        axes.set_axisbelow(True)
    named = (axes.title, axes.xaxis.label, axes.yaxis.label, *axes.get_xticklabels(), *axes.get_yticklabels())
    for text in named:
        text.set_fontfamily(fonts())
    axes.title.set_fontsize(11)


def tint(colour: str, strength: np.ndarray) -> np.ndarray:
    """White where `strength` is 0, `colour` where it is 1: RGB [..., 3] in 0..1."""
    return 1 - np.asarray(strength)[..., None] * (1 - np.array(to_rgb(colour)))


def short(name: str, most: int = 18) -> str:
    """A class name that fits on an axis."""
    return name if len(name) <= most else name[: most - 1] + "…"


def wrapped(text: str, width: int, lines: int = 2) -> str:
    """`text` on at most so many lines of `width` letters, of which those as wide as Chinese ones count twice."""
    wide = sum(east_asian_width(letter) in "WF" for letter in text)
    width = max(1, width * len(text) // max(1, len(text) + wide))
    return "\n".join(textwrap.wrap(text, width, max_lines=lines, placeholder="…"))
