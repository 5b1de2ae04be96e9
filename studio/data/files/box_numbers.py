"""What four numbers of a box mean: their form (corners, corner and size, centre and size) and their unit.

Every reader says what its format promises; here it is held against the sizes of the images themselves. Where the
numbers mostly deny it, and something else fits, the person is asked: nothing is silently another box.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from studio.core.errors import DataError

Four = tuple[float, float, float, float]
NAN: Four = (math.nan,) * 4

FORMS: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "xywh": ("x, y, width, height of the upper left corner", lambda b: np.c_[b[:, :2], b[:, :2] + b[:, 2:]]),
    "xyxy": ("corners (x1, y1, x2, y2)", lambda b: b),
    "cxcywh": ("centre and size", lambda b: np.c_[b[:, :2] - b[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2]),
}
UNITS = {
    "pixels": "pixels",
    "shares": "shares of the image (0..1)",
    "percent": "percent of the image",
}
OPTIONS = {
    "boxes": f"the form of a box's four numbers: {', '.join(FORMS)}",
    "units": f"their unit: {', '.join(UNITS)}",
}
SHARE = 1.02  # numbers of a box in shares of its image stay below this; the rest is rounding
OUTSIDE = 0.1  # share of boxes that may leave their images before another reading is looked for


@dataclass(frozen=True)
class Numbers:
    """How a format writes boxes. `asked` once a person has said it: then it is not questioned."""

    form: str = "xyxy"
    unit: str = "pixels"
    asked: bool = False

    def given(self, options: dict[str, str], what: str) -> "Numbers":
        """With what the options of a spec say. Raises DataError for a word that is none."""
        out = self
        for option, known, key in (("boxes", FORMS, "form"), ("units", UNITS, "unit")):
            if option in options:
                if options[option] not in known:
                    expected = ", ".join(list(known)[:-1]) + " or " + list(known)[-1]
                    raise DataError(f"{what}: {option}={options[option]}; expected {expected}.")
                out = replace(out, **{key: options[option]}, asked=True)
        return out

    def corners(self, rows: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Corners xyxy [N, 4] in pixels of rows [N, 4] as they were written; `sizes` [N, 2] are width, height."""
        rows = np.asarray(rows, np.float64).reshape(-1, 4)
        sizes = np.asarray(sizes, np.float64).reshape(-1, 2)
        scale = {"pixels": np.ones_like(sizes), "shares": sizes, "percent": sizes / 100}[self.unit]
        with np.errstate(over="ignore", invalid="ignore"):  # numbers without sense are refused by who reads the corners
            return FORMS[self.form][1](rows) * np.c_[scale, scale]


def judge(what: str, numbers: Numbers, rows: np.ndarray, sizes: np.ndarray, remedy: str) -> None:
    """Raises DataError where rows [N, 4] can't be what `numbers` says, or something else fits much better.

    `sizes` [N, 2] are the width and height of each row's image. `remedy` begins the sentence on what to do; the
    options follow it.
    """
    rows, sizes = np.asarray(rows, np.float64).reshape(-1, 4), np.asarray(sizes, np.float64).reshape(-1, 2)
    good = np.isfinite(rows).all(1)
    rows, sizes = rows[good], sizes[good]
    if numbers.asked or not len(rows):
        return
    tiny = _tiny(rows)
    if numbers.unit == "pixels" and tiny.mean() >= 0.5:
        raise DataError(
            f"{what}: {int(tiny.sum())} of {len(rows)} boxes have no number above 1: they are written in shares of "
            f"their images, not in pixels. {remedy}units=shares"
        )
    fits = fitting(numbers, rows, sizes)
    if fits.mean() > 1 - OUTSIDE:
        return
    others = [
        Numbers(form, unit)
        for unit in (numbers.unit, *(unit for unit in UNITS if unit != numbers.unit))
        for form in (numbers.form, *(form for form in FORMS if form != numbers.form))
    ][1:]
    best, most = None, max(0.95, float(fits.mean()))
    for other in others:
        share = float(fitting(other, rows, sizes).mean())
        if share > most:
            best, most = other, share
    if best is None:
        return
    words = [] if best.form == numbers.form else [FORMS[best.form][0]]
    words += [] if best.unit == numbers.unit else [f"in {UNITS[best.unit]}"]
    options = [] if best.form == numbers.form else [f"boxes={best.form}"]
    options += [] if best.unit == numbers.unit else [f"units={best.unit}"]
    raise DataError(
        f"{what}: only {int(fits.sum())} of {len(rows)} boxes lie inside their images, but {round(most * len(rows))} "
        f"do when they are read as {' '.join(words)}. {remedy}{'&'.join(options)} (or "
        f"{'boxes=' + numbers.form}, if they are right as they are)."
    )


def other_unit(row: Sequence[float], numbers: Numbers) -> str | None:
    """Why one box can't be in the unit of the rest; None where it can."""
    if numbers.asked or not np.isfinite(row).all():
        return None
    if numbers.unit == "pixels" and np.abs(row).max() <= SHARE:
        return "its numbers are all within 0..1: shares of the image, among boxes in pixels"
    if numbers.unit == "shares" and np.abs(row).max() > 2:
        return "its numbers are pixels; expected shares of the image, 0..1"
    return None


def as_four(values: object) -> Four:
    """Four numbers, also from text; NaN where they are something else, which is named later."""
    try:
        a, b, c, d = (as_number(value) for value in values)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        return NAN
    return a, b, c, d


def as_number(value: object) -> float:
    """A number, also from text; NaN for anything else."""
    if isinstance(value, bool) or value is None:
        return math.nan
    try:
        return float(value.strip() if isinstance(value, str) else value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return math.nan


def as_size(width: object, height: object) -> tuple[int, int] | None:
    """A stated width and height in pixels; None where they are no sizes."""
    sides = as_number(width), as_number(height)
    return (int(sides[0]), int(sides[1])) if all(1 <= side < 1e9 for side in sides) else None


def around(points: Iterable[Sequence[float]]) -> Four:
    """Corners of the box around an outline; NaN where a point is none."""
    array = np.array([[as_number(x), as_number(y)] for x, y in points], np.float64).reshape(-1, 2)
    if not len(array) or not np.isfinite(array).all():
        return NAN
    (x1, y1), (x2, y2) = array.min(0).tolist(), array.max(0).tolist()
    return x1, y1, x2, y2


def pairs(values: Sequence[object]) -> list[tuple[float, float]]:
    """x1 y1 x2 y2 ... as points. Raises ValueError for an odd count."""
    if len(values) % 2:
        raise ValueError("an odd count of coordinates")
    return [(as_number(x), as_number(y)) for x, y in zip(values[0::2], values[1::2], strict=True)]


def rotated(cx: float, cy: float, width: float, height: float, radians: float) -> Four:
    """Corners of the upright box around one that is turned about its centre."""
    if not math.isfinite(radians):
        return NAN
    cos, sin = abs(math.cos(radians)), abs(math.sin(radians))
    w, h = width * cos + height * sin, width * sin + height * cos
    return cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2


def truth(value: object) -> bool:
    """Whether a flag is set, as JSON, XML and CSV write it: 1, true, yes, also as text. Raises ValueError."""
    word = str(value).strip().lower()
    if value is None or word in ("0", "0.0", "false", "no", "n", "f", "none", "null", ""):
        return False
    if word in ("1", "1.0", "true", "yes", "y", "t"):
        return True
    raise ValueError(f"{word[:20]!r} is neither yes nor no")


def _tiny(rows: np.ndarray) -> np.ndarray:
    return (np.abs(rows) <= SHARE).all(1)


def fitting(numbers: Numbers, rows: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Which boxes have an area and lie inside their images, within 2 pixels and 2 % of a side, and could be seen."""
    corners = numbers.corners(rows, sizes)
    slack = 2 + 0.02 * sizes
    with np.errstate(over="ignore", invalid="ignore"):
        seen = corners[:, 2:] - corners[:, :2]
    seeable = (seen > 0).all(1) & (seen >= 1).any(1)
    return seeable & (corners[:, :2] >= -slack).all(1) & (corners[:, 2:] <= sizes + slack).all(1)
