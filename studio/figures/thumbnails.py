"""Small images for a page of many: what an image shows, with its boxes or its mask in the colours of their classes."""

import io

import numpy as np
from PIL import Image, ImageDraw

from studio.data.boxes import Boxes
from studio.data.files.images import upright
from studio.data.files.limits import LIMITS, Limits
from studio.data.items import Item
from studio.figures.masks import class_colours, paint_mask

SIDE = 160  # pixels of the longer side
QUALITY = 80  # of the JPEG: some 5 KB


def thumbnail(image: Image.Image, item: Item, classes: list[str], limits: Limits = LIMITS) -> tuple[bytes, list[int]]:
    """A JPEG of an item's RGB image, with what is drawn of its truth; and the classes that it shows.

    Raises BadImage where the item's mask, or the size of its image, can't be read.
    """
    small = image.copy()
    small.thumbnail((SIDE, SIDE))
    shown = [item.label] if item.label >= 0 else []
    if item.boxes is not None:
        small = _with_boxes(small, item.boxes, upright(item.source, item.name, limits)[0], len(classes))
        shown = np.unique(item.boxes.labels).tolist()
    elif item.mask is not None:
        small, shown = paint_mask(small, item.mask.read(), classes)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=QUALITY)
    return file.getvalue(), shown


def _with_boxes(small: Image.Image, boxes: Boxes, size: tuple[int, int], classes: int) -> Image.Image:
    """Boxes of an image of `size` (width, height) on a smaller one."""
    pen, scale, colours = ImageDraw.Draw(small), np.array([*small.size, *small.size]) / [*size, *size], None
    colours = [tuple(colour) for colour in class_colours(classes).tolist()]
    for corners, label in zip((boxes.xyxy * scale).tolist(), boxes.labels.tolist(), strict=True):
        left, top, right, bottom = corners
        pen.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=colours[label], width=2)
    return small
