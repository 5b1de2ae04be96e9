"""Outlines and run lengths as class maps, and back: polygons [[x1, y1, ...], ...] and COCO's RLE.

Polygons are filled by COCO's own code (faster-coco-eval), after their numbers are bounded here: it trusts them. Run
lengths are unrolled here for the same reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from studio.data.files.box_numbers import as_number
from studio.data.masks.class_map import Things

MOST_POINTS = 100_000  # of one outline
ROUND = 64  # points of a circle's outline


@dataclass(frozen=True, eq=False)
class Outlined:
    """The class map of an image of `size` (width, height): `shapes` over class 0, the larger ones first.

    A shape is a class index and what COCO calls a segmentation, or a Patch.
    """

    size: tuple[int, int]
    shapes: tuple[tuple[int, Any], ...]

    def read(self) -> np.ndarray:
        out = np.zeros(self.size[::-1], np.uint8)
        for label, inside in sorted(self.things(), key=lambda pair: -int(pair[1].sum())):
            out[inside] = label
        return out

    def things(self) -> Things:
        filled = [(label, filled_by(shape, self.size)) for label, shape in self.shapes]
        return [(label, inside) for label, inside in filled if inside is not None]


@dataclass(frozen=True, eq=False)
class Patch:
    """Pixels of a part of an image, which begins at (left, top), as LabelMe and CVAT store a brushed mask."""

    left: int
    top: int
    inside: np.ndarray  # bool [h, w]

    def placed(self, size: tuple[int, int]) -> np.ndarray:
        """The pixels [H, W] in an image of `size` (width, height); what lies beyond it is cut off."""
        out = np.zeros(size[::-1], bool)
        top, left = max(0, self.top), max(0, self.left)
        part = self.inside[top - self.top :, left - self.left :][: max(0, size[1] - top), : max(0, size[0] - left)]
        out[top : top + part.shape[0], left : left + part.shape[1]] = part
        return out


def around_circle(cx: float, cy: float, rx: float, ry: float, radians: float = 0.0) -> list[list[float]]:
    """The outline [[x1, y1, ...]] of an ellipse that is turned about its centre."""
    angles = np.linspace(0, 2 * np.pi, ROUND, endpoint=False)
    x, y = rx * np.cos(angles), ry * np.sin(angles)
    cos, sin = np.cos(radians), np.sin(radians)
    return [np.stack([cx + x * cos - y * sin, cy + x * sin + y * cos], axis=1).reshape(-1).tolist()]


def filled_by(shape: Any, size: tuple[int, int]) -> np.ndarray | None:
    """Which pixels [H, W] of an image of `size` (width, height) a segmentation covers; None where it is none."""
    if isinstance(shape, Patch):
        return shape.placed(size)
    if isinstance(shape, dict):
        return _unrolled(shape, size)
    polygons = _polygons(shape, size)
    if not polygons:
        return None
    from faster_coco_eval.core import mask

    width, height = size
    return mask.decode(mask.merge(mask.frPyObjects(polygons, height, width))).astype(bool)


def fault_of(shape: Any, size: tuple[int, int]) -> str | None:
    """Why a segmentation covers nothing, in a few words; None where it can be drawn."""
    if isinstance(shape, Patch):
        return None if shape.placed(size).any() else "it lies outside the image"
    if isinstance(shape, dict):
        return None if _runs(shape, size) is not None else "its run lengths do not fill the image"
    return None if _polygons(shape, size) else "it has no outline of three points or more"


def run_lengths(inside: np.ndarray) -> dict[str, Any]:
    """COCO's compressed RLE of bool [H, W]: {"size": [H, W], "counts": text}."""
    from faster_coco_eval.core import mask

    packed = mask.encode(np.asfortranarray(inside.astype(np.uint8)))
    return {"size": [int(side) for side in packed["size"]], "counts": packed["counts"].decode("ascii")}


def _polygons(shape: Any, size: tuple[int, int]) -> list[list[float]]:
    """The polygons of a segmentation with three points or more, inside the image."""
    if not isinstance(shape, Sequence) or isinstance(shape, str) or not len(shape):
        return []
    parts = shape if isinstance(shape[0], Sequence) else [shape]
    out = []
    for part in parts:
        if not isinstance(part, Sequence) or isinstance(part, str) or not 6 <= len(part) <= 2 * MOST_POINTS:
            continue
        points = np.array([as_number(value) for value in part[: len(part) // 2 * 2]]).reshape(-1, 2)
        if np.isfinite(points).all():
            out.append(np.clip(points, 0, size).reshape(-1).tolist())
    return out


def _runs(shape: dict[str, Any], size: tuple[int, int]) -> np.ndarray | None:
    """The run lengths int64 [R] of zeros and ones in turn, which together fill the image; None where they don't."""
    counts, stated = shape.get("counts"), shape.get("size")
    counts = unpacked(counts) if isinstance(counts, str) else counts
    if not isinstance(counts, list) or not isinstance(stated, list) or stated != [size[1], size[0]]:
        return None
    runs = np.array([as_number(value) for value in counts])
    if not (np.isfinite(runs).all() and (runs >= 0).all() and runs.sum() == size[0] * size[1]):
        return None
    return runs.astype(np.int64)


def _unrolled(shape: dict[str, Any], size: tuple[int, int]) -> np.ndarray | None:
    runs = _runs(shape, size)
    if runs is None:
        return None
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return np.ascontiguousarray(flat.reshape(size).T)  # down the columns


def unpacked(text: str) -> list[int] | None:
    """Counts from COCO's compressed text; None where it is none.

    Each is written five bits a character, the lowest first, from the sign `0` on; 32 says that more follow, the
    highest bit of the last is the sign. From the fourth on it is the difference to the one two places before.
    """
    runs: list[int] = []
    value = shift = 0
    for sign in text:
        bits = ord(sign) - 48
        if not 0 <= bits < 64 or shift > 30:
            return None
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return runs if runs and shift == 0 else None
