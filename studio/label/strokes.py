"""What was painted on an image, as the shapes that labelling projects keep: brush strokes and polygons, one by one."""

from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from studio.core.errors import UsageError
from studio.data.masks.outlines import filled_by, run_lengths

MOST_STROKES = 2000
MOST_POINTS = 20_000  # of one
KINDS = ("brush", "polygon")


def painted(size: tuple[int, int], base: list[Any], strokes: list[Any]) -> list[list[Any]]:
    """Shapes [[class, RLE], ...] that do not overlap, of an image of `size` (width, height).

    `base` are shapes to begin with. A stroke is {"kind": brush or polygon, "label": a class, or None to erase,
    "points": [x, y, x, y, ...] in pixels, "width": of the brush}; later ones lie over earlier ones. Raises UsageError
    for what is none.
    """
    if len(strokes) > MOST_STROKES or len(base) > MOST_STROKES:
        raise UsageError(f"labels: more than {MOST_STROKES} strokes on one image. Save in between.")
    names = list(dict.fromkeys([thing[0] for thing in base] + [stroke.get("label") for stroke in strokes]))
    if len(names) > 254:
        raise UsageError("labels: more than 254 classes on one image.")
    index = {name: number for number, name in enumerate([None, *(name for name in names if name is not None)])}
    canvas = np.zeros(size[::-1], np.uint8)
    for name, shape in base:
        inside = filled_by(shape, size)
        if inside is not None:
            canvas[inside] = index[name]
    image = Image.fromarray(canvas)
    for stroke in strokes:
        _paint(ImageDraw.Draw(image), stroke, index[stroke.get("label")])
    pixels = np.asarray(image)
    present = set(np.unique(pixels).tolist()) - {0}
    return [[name, run_lengths(pixels == number)] for name, number in index.items() if number in present]


def _paint(draw: ImageDraw.ImageDraw, stroke: dict[str, Any], fill: int) -> None:
    numbers = stroke.get("points")
    if (
        stroke.get("kind") not in KINDS
        or not isinstance(numbers, list)
        or not 2 <= len(numbers) <= 2 * MOST_POINTS
        or not all(isinstance(value, (int, float)) and abs(value) < 1e6 for value in numbers)
    ):
        raise UsageError("labels: a stroke is a brush or a polygon with points [x, y, x, y, ...] in pixels.")
    points = list(zip(numbers[::2], numbers[1::2], strict=False))
    if stroke["kind"] == "polygon":
        if len(points) > 2:
            draw.polygon(points, fill=fill)
        return
    width = max(1.0, min(float(stroke.get("width") or 1), 2000.0))
    if len(points) > 1:
        draw.line(points, fill=fill, width=round(width), joint="curve")
    for x, y in (points[0], points[-1]):
        draw.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=fill)
