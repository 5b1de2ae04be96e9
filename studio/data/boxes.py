"""Boxes, as every room passes them: corners in pixels, float32, and class indices without gaps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

Masks = Callable[[], np.ndarray]


@dataclass(frozen=True, eq=False)
class Boxes:
    """What is in one image: corners xyxy float32 [N, 4] in its pixels, labels int64 [N] in 0..C-1.

    `ignore` bool [N]: crowds and difficult objects, which are neither learned nor counted as missed. `masks`, where the
    data has them, makes bool [N, H, W] when it is called: which of the image's pixels show each thing.
    """

    xyxy: np.ndarray
    labels: np.ndarray
    ignore: np.ndarray
    masks: Masks | None = None

    @classmethod
    def of(cls, xyxy: object, labels: object, ignore: object = None) -> "Boxes":
        """From lists or arrays; N may be 0."""
        corners = np.asarray(xyxy, np.float32).reshape(-1, 4)
        none = np.zeros(len(corners), bool)
        return cls(corners, np.asarray(labels, np.int64).reshape(-1), none if ignore is None else np.asarray(ignore))

    def rows(self, chosen: np.ndarray) -> "Boxes":
        """Those that a mask bool [N] or indices choose, with their masks."""
        masks = None if self.masks is None else partial(_masks_of_rows, self.masks, chosen)
        return replace(
            self, xyxy=self.xyxy[chosen], labels=self.labels[chosen], ignore=self.ignore[chosen], masks=masks
        )

    def __len__(self) -> int:
        return len(self.labels)


def _masks_of_rows(masks: Masks, rows: np.ndarray) -> np.ndarray:
    return masks()[rows]


@dataclass(frozen=True, eq=False)
class Detections:
    """What was found in one image: xyxy float32 [N, 4] in its pixels, labels int64 [N], scores float32 [N] in 0..1."""

    xyxy: np.ndarray
    labels: np.ndarray
    scores: np.ndarray

    def above(self, score: float) -> "Detections":
        """Those with at least this score, the surest first."""
        order = np.argsort(-self.scores, kind="stable")
        order = order[self.scores[order] >= score]
        return Detections(self.xyxy[order], self.labels[order], self.scores[order])

    def first(self, count: int | None) -> "Detections":
        """The first `count`, or all."""
        return Detections(self.xyxy[:count], self.labels[:count], self.scores[:count])

    def __len__(self) -> int:
        return len(self.labels)


def shared(before: Sequence[str], classes: Sequence[str]) -> list[str]:
    """Those of `classes` that are among `before`, whatever their case."""
    was = {name.casefold() for name in before}
    return [name for name in classes if name.casefold() in was]


def iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union [N, M] of boxes xyxy [N, 4] and [M, 4]; 0 where both are empty."""
    first, second = first[:, None].astype(np.float64), second[None].astype(np.float64)
    sides = np.clip(np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2]), 0, None)
    overlap = sides.prod(-1)
    union = _area(first) + _area(second) - overlap
    return np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)


def _area(xyxy: np.ndarray) -> np.ndarray:
    return (xyxy[..., 2] - xyxy[..., 0]) * (xyxy[..., 3] - xyxy[..., 1])
