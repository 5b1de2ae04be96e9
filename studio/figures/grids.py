"""Grids of pictures with a caption each."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from PIL import Image

from studio.figures.style import figure, fonts, short


def grid_figure(
    images: Sequence[Image.Image], captions: Sequence[str], columns: int = 6, frames: Sequence[str] | None = None
) -> Figure:
    """Images [N] in rows of `columns`, captions below; `frames` are colours of a frame around each."""
    columns = min(columns, max(1, len(images)))
    rows = -(-len(images) // columns)
    made = figure(1.55 * columns, 1.85 * rows)
    for place, (image, caption) in enumerate(zip(images, captions, strict=True)):
        axes = made.add_subplot(rows, columns, place + 1)
        axes.imshow(image, interpolation="nearest" if min(image.size) < 64 else "antialiased")
        axes.set_xlabel(short(caption, 26), fontsize=7, fontfamily=fonts())
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set_visible(frames is not None)
            spine.set_linewidth(2.5)
            spine.set_edgecolor(frames[place] if frames else "none")
    return made
