"""Small copies of the support photos, a hundred to a JPEG sheet, so that a prediction can show what it is like."""

import io
from collections.abc import Sequence

from PIL import Image, ImageOps

SIDE = 112  # pixels
COLUMNS = 10
TILES = COLUMNS * COLUMNS  # a sheet


def sheet(images: Sequence[Image.Image]) -> bytes:
    """Up to a hundred RGB images as one JPEG, row by row, each cropped to a square."""
    rows = -(-len(images) // COLUMNS)
    paper = Image.new("RGB", (COLUMNS * SIDE, rows * SIDE), "white")
    for number, image in enumerate(images):
        paper.paste(ImageOps.fit(image, (SIDE, SIDE)), _corner(number))
    file = io.BytesIO()
    paper.save(file, "JPEG", quality=80)
    return file.getvalue()


def tile(paper: Image.Image, number: int) -> Image.Image:
    """The thumbnail of this number on a sheet."""
    left, top = _corner(number)
    return paper.crop((left, top, left + SIDE, top + SIDE))


def _corner(number: int) -> tuple[int, int]:
    return number % COLUMNS * SIDE, number // COLUMNS * SIDE
