"""A line of YOLO's texts: a class, four numbers of a box, and what else tools write behind them."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from studio.core.errors import DataError
from studio.data.files.box_numbers import SHARE, Four, Numbers, around, fitting, pairs

#: a corner count of four is YOLO's turned box; keypoints with so few numbers are known by the YAML's kpt_shape alone
TURNED = 8
VISIBLE = (0.0, 1.0, 2.0)  # what the third number of a keypoint says


class BadLine(ValueError):
    """A line that is left out; the message says why."""


@dataclass
class Lines:
    """Reads lines of one set. `places` maps class ids, `names` class names, to 0..C-1.

    `keypoints` is the YAML's kpt_shape (count, numbers each), or what a person said: () for outlines, None where
    nothing is said. `counts` is what was met, for `said` and `refuse_unclear`, once all lines are read.
    """

    places: Mapping[int, int]
    names: Mapping[str, int]
    numbers: Numbers
    keypoints: tuple[int, ...] | None = None
    boxes_first: bool = False  # a person said that lines are boxes with keypoints
    counts: Counter[str] = field(default_factory=Counter)
    _lengths: set[int] = field(default_factory=set)
    _six: list[list[float]] = field(default_factory=list)

    def read(self, line: str) -> tuple[int, Four, Numbers | None]:
        """Class, four numbers, and their meaning where it is not the set's. Raises BadLine."""
        words = line.replace(",", " ").split() if " " not in line.strip() else line.split()
        try:
            values = [float(word) for word in words[1:]]
        except ValueError:
            values = []
        if len(values) < 4:
            raise BadLine(f"{line.strip()[:40]!r} is not `class x y width height`")
        label = self._label(words[0])
        if len(values) == 4:
            return label, _four(values), None
        return (label, *self._longer(values))

    def _label(self, word: str) -> int:
        try:
            number = float(word)
        except ValueError:
            if word in self.names:
                return self.names[word]
            raise BadLine(f"there is no class {word[:40]!r}") from None
        if not math.isfinite(number) or number != int(number) or int(number) not in self.places:
            raise BadLine(f"there is no class {number:g}")
        return self.places[int(number)]

    def _longer(self, values: list[float]) -> tuple[Four, Numbers | None]:
        count = len(values)
        if count == 5:
            if not 0 <= values[4] <= SHARE:
                raise BadLine(f"its sixth number, {values[4]:g}, is no confidence (0..1)")
            self.counts["confidence"] += 1
            self._six.append(values)
            return _four(values[:4]), None
        if (
            self.boxes_first
            or self.keypoints
            and count in (4 + math.prod(self.keypoints), 5 + math.prod(self.keypoints))
        ):
            self.counts["keypoints"] += 1
            return _four(values[:4]), None
        if count % 2 == 0 and not (count == 6 and values[5] > SHARE):
            self.counts["outline"] += 1
            self._lengths.add(count)
            self.counts["perhaps keypoints"] += count > TURNED and self.keypoints is None and _around_points(values, 2)
            return around(pairs(values)), Numbers("xyxy", self.numbers.unit)
        if count == 6:  # a confidence and the number of a track
            self.counts["confidence"] += 1
            return _four(values[:4]), None
        if (count - 4) % 3 == 0 and all(value in VISIBLE for value in values[6::3]):
            self.counts["keypoints"] += 1
            return _four(values[:4]), None
        raise BadLine(f"{count} numbers behind the class are neither a box, nor an outline, nor a box with keypoints")

    def refuse_unclear(self, what: str) -> None:
        """Raises DataError where lines may be outlines or boxes with keypoints, or their columns are exchanged."""
        if (
            len(self._lengths) == 1
            and self.counts["perhaps keypoints"] == self.counts["outline"] > 0
            and next(iter(self._lengths)) > TURNED
        ):
            raise DataError(
                f"{what}: each of {self.counts['outline']} lines has {1 + next(iter(self._lengths))} numbers, which "
                "may be an outline or a box with keypoints. Write ?lines=outline or ?lines=keypoints."
            )
        if self._six:
            rows = np.array(self._six)
            size = np.full((len(rows), 2), 10_000)
            first, last = (fitting(self.numbers, rows[:, part], size).mean() for part in (slice(0, 4), slice(1, 5)))
            if first < 0.9 and last > 0.95:
                raise DataError(
                    f"{what}: lines have six numbers, and not the first four behind the class are a box, but the last "
                    "four are. Write the confidence behind the box, or leave it out."
                )

    def said(self) -> list[str]:
        """Remarks on what was read beside boxes."""
        words = {
            "confidence": "lines have a sixth number (a confidence), which is ignored.",
            "keypoints": "lines have keypoints behind the box, which are ignored.",
            "outline": "lines are outlines or turned boxes; the upright box around each was taken.",
        }
        return [f"{self.counts[key]} {sentence}" for key, sentence in words.items() if self.counts[key]]


def _four(values: list[float]) -> Four:
    return values[0], values[1], values[2], values[3]


def _around_points(values: list[float], each: int) -> bool:
    """Whether the first four numbers are a box (centre, size) that holds all the points behind them."""
    cx, cy, w, h = values[:4]
    points = np.array(values[4 : 4 + (len(values) - 4) // each * each]).reshape(-1, each)[:, :2]
    points = points[(points != 0).any(1)]  # (0, 0) is a point that is not seen
    low, high = np.array([cx - w / 2, cy - h / 2]), np.array([cx + w / 2, cy + h / 2])
    return bool(w > 0 and h > 0 and (points >= low - 0.02).all() and (points <= high + 0.02).all())
