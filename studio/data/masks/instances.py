"""Things of one image with a mask each: what is there, or what was found."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from studio.data.boxes import Boxes, Detections
from studio.data.masks.class_map import Things
from studio.data.masks.outlines import filled_by, run_lengths


@dataclass(frozen=True, eq=False)
class Instances:
    """labels int64 [N], scores float32 [N] in 0..1, boxes xyxy float32 [N, 4] in pixels, and COCO's run lengths of each
    mask, in an image of `size` (width, height)."""

    size: tuple[int, int]
    labels: np.ndarray
    scores: np.ndarray
    xyxy: np.ndarray
    lengths: list[dict[str, Any]]

    @classmethod
    def of(cls, things: Things, size: tuple[int, int], scores: np.ndarray | None = None) -> "Instances":
        """From masks; one without a pixel is left out."""
        kept = [number for number, (_, inside) in enumerate(things) if inside.any()]
        return cls(
            size,
            np.array([things[number][0] for number in kept], np.int64),
            np.ones(len(kept), np.float32) if scores is None else np.asarray(scores, np.float32)[kept],
            np.array([box_of(things[number][1]) for number in kept], np.float32).reshape(-1, 4),
            [run_lengths(things[number][1]) for number in kept],
        )

    def inside(self, number: int) -> np.ndarray:
        """The pixels bool [H, W] of one."""
        filled = filled_by(self.lengths[number], self.size)
        assert filled is not None  # made here
        return filled

    def above(self, score: float) -> "Instances":
        """Those with at least this score, the surest first."""
        order = np.argsort(-self.scores, kind="stable")
        return self.rows(order[self.scores[order] >= score])

    def rows(self, chosen: np.ndarray) -> "Instances":
        """Those of these numbers, or where a mask [N] is set."""
        rows = np.arange(len(self))[chosen]
        return Instances(
            self.size, self.labels[rows], self.scores[rows], self.xyxy[rows], [self.lengths[row] for row in rows]
        )

    @property
    def boxes(self) -> Boxes:
        return Boxes.of(self.xyxy, self.labels)

    @property
    def detections(self) -> Detections:
        return Detections(self.xyxy, self.labels, self.scores)

    @cached_property
    def areas(self) -> np.ndarray:
        """Pixels of each, int64 [N]."""
        return np.array([int(self.inside(number).sum()) for number in range(len(self.labels))], np.int64)

    def __len__(self) -> int:
        return len(self.labels)


def box_of(inside: np.ndarray) -> tuple[int, int, int, int]:
    """The corners around the pixels that are set, of which there is one at least."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
