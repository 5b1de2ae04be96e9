"""Grids of images with a caption each."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from PIL import Image

from studio.figures.style import figure, fonts, wrapped

PAPER = (244, 245, 246)
FINE = 320  # pixels a side that a small tile needs at most
LETTERS = 15  # of a caption in a line, for each inch of a tile: more would run into the next one
COARSE = 48  # pixels a side below which pixels are shown as squares


def grid_figure(
    images: Sequence[Image.Image],
    captions: Sequence[str],
    columns: int = 6,
    frames: Sequence[str] | None = None,
    tile: float = 1.6,
) -> Figure:
    """Images [N] in rows of `columns`, `tile` inches wide, captions below; `frames` are colours of a frame around."""
    columns = min(columns, max(1, len(images)))
    rows = max(1, -(-len(images) // columns))
    made = figure(tile * columns, (tile + 0.38) * rows)
    for place, (image, caption) in enumerate(zip(images, captions, strict=True)):
        axes = made.add_subplot(rows, columns, place + 1)
        shown = _tile(image, round(FINE * max(1.0, tile / 1.6)))
        axes.imshow(shown, interpolation="nearest" if shown.width < COARSE else "antialiased")
        axes.set_xlabel(wrapped(caption, round(LETTERS * tile)), fontsize=7.5, fontfamily=fonts(), labelpad=3)
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set_visible(frames is not None)
            spine.set_linewidth(2.5)
            spine.set_edgecolor(frames[place] if frames else "none")
    return made


def _tile(image: Image.Image, most: int) -> Image.Image:
    """The whole image on a square, so that all tiles of a grid are one size."""
    image = image.convert("RGB")
    image.thumbnail((most, most), Image.Resampling.LANCZOS)
    side = max(image.size)
    square = Image.new("RGB", (side, side), PAPER)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square
