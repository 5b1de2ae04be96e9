"""What is said of an image, judged before it is kept: it is of the project's kind, and inside the image."""

import math
from typing import Any

from studio.core.errors import UsageError
from studio.data.masks.outlines import fault_of
from studio.store.labelling import Truth

MOST_THINGS = 1000  # in one image
KEYS = {"classes": {"label"}, "boxes": {"size", "boxes"}, "masks": {"size", "shapes"}}


def check_truth(truth: Truth, kind: str, size: tuple[int, int] | None) -> None:
    """Raises UsageError for what is not of this kind, or not of an upright image of `size` (width, height)."""
    if not isinstance(truth, dict) or set(truth) != KEYS[kind]:
        raise UsageError(f"labels: expected {' and '.join(sorted(KEYS[kind]))} for an image, found {str(truth)[:80]}.")
    if kind == "classes":
        return
    if list(truth["size"]) != list(size or ()):
        raise UsageError(f"labels: this was drawn at {truth['size']} pixels, and the image has {list(size or ())}.")
    things = truth["boxes" if kind == "boxes" else "shapes"]
    if len(things) > MOST_THINGS:
        raise UsageError(f"labels: {len(things)} things in one image; at most {MOST_THINGS} are kept.")
    for number, thing in enumerate(things, start=1):
        fault = _box_fault(thing, size) if kind == "boxes" else _shape_fault(thing, size)
        if fault:
            raise UsageError(f"labels: {kind[:-2] if kind == 'boxes' else 'shape'} {number} {fault}.")


def _box_fault(thing: Any, size: tuple[int, int]) -> str | None:
    if not (isinstance(thing, (list, tuple)) and len(thing) == 5):
        return "is no [class, x1, y1, x2, y2]"
    numbers = thing[1:]
    if not all(isinstance(value, (int, float)) and math.isfinite(value) for value in numbers):
        return "has corners that are no numbers"
    x1, y1, x2, y2 = numbers
    if not (0 <= x1 < x2 <= size[0] and 0 <= y1 < y2 <= size[1]):
        return f"({x1:g}, {y1:g}, {x2:g}, {y2:g}) does not lie in the image of {size[0]} x {size[1]}"
    return None


def _shape_fault(thing: Any, size: tuple[int, int]) -> str | None:
    if not (isinstance(thing, (list, tuple)) and len(thing) == 2):
        return "is no [class, segmentation]"
    return fault_of(thing[1], size)
