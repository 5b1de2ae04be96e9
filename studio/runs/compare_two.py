"""Two detectors on one image: what both find, and what only one of them does."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from studio.core.errors import UsageError
from studio.data.boxes import iou
from studio.figures.boxes import draw_side_by_side
from studio.runs.predict import Model, read_for_people

SAME = 0.5  # overlap from which two boxes of a class are one thing


@dataclass(frozen=True)
class PairComparison:
    """`rows` of `Model.predict` of each; `common` bool lists say which of each one's boxes the other has too."""

    rows: tuple[dict[str, Any], dict[str, Any]]
    common: tuple[list[bool], list[bool]]
    drawn: Image.Image  # the image twice, side by side

    @property
    def counts(self) -> dict[str, int]:
        """How many boxes both have, and how many the first or the second alone."""
        both = sum(self.common[0])
        first, second = (sum(not matched for matched in marks) for marks in self.common)
        return {"both": both, "first_only": first, "second_only": second}


def compare_two(first: Model, second: Model, image: str | Path | Image.Image) -> PairComparison:
    """What two checkpoints find in one image, each from its own threshold on, matched by class and overlap.

    Raises UsageError where one of them finds no boxes, or the image can't be read.
    """
    opened = read_for_people(image)
    rows = (first.predict([opened])[0], second.predict([opened])[0])
    for model, row in zip((first, second), rows, strict=True):
        if "boxes" not in row:
            raise UsageError(f"{model.checkpoint.id} was made by {model.checkpoint.manifest.method}: it has no boxes.")
    common = match(rows[0]["boxes"], rows[1]["boxes"])
    names = [_name(model) for model in (first, second)]
    return PairComparison(rows, common, draw_side_by_side(opened, [row["boxes"] for row in rows], common, names))


def match(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> tuple[list[bool], list[bool]]:
    """Which boxes of each have a partner of the same label in the other; the surest choose first, each box once."""
    marks = ([False] * len(first), [False] * len(second))
    if not first or not second:
        return marks
    overlaps = iou(*(np.array([one["box"] for one in boxes], np.float32) for boxes in (first, second)))
    for row, box in enumerate(first):  # predict gives the surest first
        free = [
            column for column, other in enumerate(second)
            if not marks[1][column] and other["label"] == box["label"] and overlaps[row, column] >= SAME
        ]  # fmt: skip
        if free:
            marks[0][row] = marks[1][max(free, key=lambda column: overlaps[row, column])] = True
    return marks


def _name(model: Model) -> str:
    return f"{model.checkpoint.manifest.method} ({model.checkpoint.id})"
