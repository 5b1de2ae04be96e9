"""What goes wrong in detection, box by box: missed, wrong class, badly placed, duplicate, background.

After Bolya et al. 2020, TIDE, section 2.2, with one kind an error and no error of both class and place.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from studio.data.boxes import Boxes, Detections, iou

KINDS = ("right", "wrong class", "badly placed", "duplicate", "background")
PLACED, NEAR = 0.5, 0.1  # overlap from which a box is in its place, and from which it is at least near it


@dataclass(frozen=True)
class Judged:
    """Of one image: the kind of each detection (index into KINDS, -1 on an ignored box), and which boxes were found.

    `kinds` int64 [N] for the detections surest first; `taken` int64 [M] the detection that found each box, or -1.
    """

    found: Detections
    kinds: np.ndarray
    taken: np.ndarray


def judge(truth: Boxes, found: Detections) -> Judged:
    """Each detection takes the free box of its class that it overlaps most, the surest first."""
    found = found.above(-np.inf)
    overlaps = iou(found.xyxy, truth.xyxy)
    kinds, taken = np.full(len(found), KINDS.index("background")), np.full(len(truth), -1)
    for number in range(len(found) if len(truth) else 0):
        same = truth.labels == found.labels[number]
        over = overlaps[number]
        free = np.where(same & (taken < 0) & ~truth.ignore, over, 0.0)
        if free.max() >= PLACED:
            taken[free.argmax()] = number
            kinds[number] = KINDS.index("right")
        elif (over[truth.ignore] >= PLACED).any():
            kinds[number] = -1
        elif (over[same] >= PLACED).any():
            kinds[number] = KINDS.index("duplicate")
        elif (over[~same] >= PLACED).any():
            kinds[number] = KINDS.index("wrong class")
        elif (over[same] >= NEAR).any():
            kinds[number] = KINDS.index("badly placed")
    return Judged(found, kinds, taken)


def count_errors(truths: Sequence[Boxes], judged: Sequence[Judged], classes: Sequence[str]) -> list[list[object]]:
    """Rows (class, objects, right, missed, then the errors of KINDS), errors by the guessed class."""
    rows: list[list[object]] = []
    for label, name in enumerate(classes):
        wanted = sum(int(((truth.labels == label) & ~truth.ignore).sum()) for truth in truths)
        kinds = np.concatenate([one.kinds[one.found.labels == label] for one in judged])
        counts = [int((kinds == kind).sum()) for kind in range(len(KINDS))]
        rows.append([name, wanted, counts[0], wanted - counts[0], *counts[1:]])
    return rows
