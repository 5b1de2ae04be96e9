"""Images with boxes drawn on them, and precision-recall curves."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from studio.data.boxes import Boxes, Detections
from studio.figures.style import COLOURS, FAINT, QUIET, figure, fonts, short, tidy
from studio.metrics.detection_errors import Judged

KEPT, MISSED, WRONG = "#009E73", "#E69F00", "#D55E00"


def draw_boxes(image: Image.Image, boxes: Boxes, classes: Sequence[str]) -> Image.Image:
    """A copy of the image with the boxes of a data set in the colour of their class."""
    marks = [
        (corners, COLOURS[label % (len(COLOURS) - 1)], classes[label])
        for corners, label in zip(boxes.xyxy, boxes.labels, strict=True)
    ]
    return _drawn(image, marks)


def draw_detections(image: Image.Image, found: Detections, classes: Sequence[str]) -> Image.Image:
    """A copy of the image with each box in the colour of its class, its name and score above it."""
    marks = [
        (corners, COLOURS[label % (len(COLOURS) - 1)], f"{classes[label]} {score:.2f}")
        for corners, label, score in zip(found.xyxy, found.labels, found.scores, strict=True)
    ]
    return _drawn(image, marks[::-1])  # the surest on top


def draw_side_by_side(
    image: Image.Image, boxes: Sequence[Sequence[dict[str, Any]]], common: Sequence[Sequence[bool]],
    names: Sequence[str],
) -> Image.Image:  # fmt: skip
    """The image once for each model, under its name: boxes that the others have too green, its own alone yellow.

    `boxes[m]` are {label, score, box} of model m, and `common[m]` says of each whether it is the others' too.
    """
    halves = []
    for found, marks in zip(boxes, common, strict=True):
        drawn = [
            (np.array(one["box"]), KEPT if both else MISSED, f"{one['label']} {one['score']:.2f}")
            for one, both in zip(found, marks, strict=True)
        ]
        halves.append(_drawn(image, drawn[::-1]))
    font = ImageFont.load_default(size=max(12, round(max(image.size) / 40)))
    bar, gap = font.getbbox("Ag")[3] + 8, max(4, image.width // 100)
    out = Image.new("RGB", (sum(half.width for half in halves) + gap * (len(halves) - 1), image.height + bar), "white")
    for place, (half, name) in enumerate(zip(halves, names, strict=True)):
        left = place * (image.width + gap)
        out.paste(half, (left, bar))
        ImageDraw.Draw(out).text((left + 2, 2), name, fill="black", font=font)
    return out


def draw_judged(image: Image.Image, truth: Boxes, judged: Judged, classes: Sequence[str]) -> Image.Image:
    """The image with kept detections green, wrong ones red-orange, and missed objects yellow."""
    missed = (judged.taken < 0) & ~truth.ignore
    marks = [
        (corners, MISSED, f"missed {classes[label]}")
        for corners, label in zip(truth.xyxy[missed], truth.labels[missed], strict=True)
    ]
    for corners, label, kind in zip(judged.found.xyxy, judged.found.labels, judged.kinds, strict=True):
        if kind >= 0:
            marks.append((corners, KEPT if kind == 0 else WRONG, classes[label]))
    return _drawn(image, marks)


def precision_recall_figure(curves: Sequence[tuple[str, np.ndarray, np.ndarray]], ap: Sequence[float | None]) -> Figure:
    """A line a class: (name, precision [K], recall [K]) at IoU 0.5, with its AP50 in the legend."""
    made = figure(5.4, 4.2)
    axes = made.add_subplot()
    for place, ((name, precision, recall), area) in enumerate(zip(curves, ap, strict=True)):
        if area is not None:
            colour = COLOURS[place % len(COLOURS)]
            axes.plot(recall, precision, color=colour, linewidth=1.8, label=f"{short(name)}  {area:.3f}")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision", title="Precision and recall at IoU 0.5")
    if axes.lines:
        axes.legend(
            title="AP50", loc="lower left", fontsize=8, frameon=True, edgecolor=FAINT, labelcolor="linecolor",
            prop={"family": fonts(), "size": 8},
        )  # fmt: skip
    else:
        axes.text(0.5, 0.5, "nothing to find", ha="center", color=QUIET)
    tidy(axes, "both")
    return made


def _drawn(image: Image.Image, marks: Sequence[tuple[np.ndarray, str, str]]) -> Image.Image:
    """Frames with a caption in a bar of the same colour: above the box, or inside where there is no room."""
    out = image.convert("RGB").copy()
    pen = ImageDraw.Draw(out)
    line = max(2, round(max(out.size) / 300))
    font = ImageFont.load_default(size=max(10, round(max(out.size) / 50)))
    for corners, colour, caption in marks:
        x1, y1, x2, y2 = (float(value) for value in corners)
        pen.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=colour, width=line)
        left, top, right, bottom = pen.textbbox((0, 0), caption, font=font)
        height = bottom - top + 4
        above = y1 - height if y1 >= height else y1
        pen.rectangle((x1, above, x1 + right - left + 4, above + height), fill=colour)
        pen.text((x1 + 2 - left, above + 2 - top), caption, fill="white", font=font)
    return out
