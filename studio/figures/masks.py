"""Class maps drawn: in colours over their image with a legend, as a palette PNG, beside the truth, as bars a class."""

import colorsys
import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import binary_erosion

from studio.data.masks.class_map import VOID
from studio.data.masks.instances import Instances
from studio.figures.boxes import draw_detections
from studio.figures.style import COLOURS, INK, RIGHT, WRONG, figure, short, tidy

STRENGTH = 0.55  # of the colours over the image
LISTED = 14  # classes in a legend
GROUND = "background"  # the class that is not coloured


def class_colours(count: int) -> np.ndarray:
    """Colours uint8 [count, 3]: seven that colour-blind eyes tell apart, then turns of the hue in three shades."""
    first = [tuple(int(code[place : place + 2], 16) for place in (1, 3, 5)) for code in COLOURS[:-1]]
    more = []
    for number in range(max(0, count - len(first))):
        red, green, blue = colorsys.hsv_to_rgb((0.11 + 0.618034 * number) % 1, 0.65, (0.95, 0.7, 0.5)[number % 3])
        more.append((round(255 * red), round(255 * green), round(255 * blue)))
    return np.array([*first, *more][:count], np.uint8).reshape(-1, 3)


def draw_mask(
    image: Image.Image, mask: np.ndarray, classes: Sequence[str], shares: dict[str, float] | None = None,
    strength: float = STRENGTH,
) -> Image.Image:  # fmt: skip
    """The image with class map [H, W] in colours over it, and a legend in the corner: names, with `shares` in percent.

    A map of another size is stretched. Background and void stay as they are.
    """
    painted, present = paint_mask(image, mask, classes, strength)
    return with_legend(painted, present, classes, shares)


def paint_mask(
    image: Image.Image, mask: np.ndarray, classes: Sequence[str], strength: float = STRENGTH
) -> tuple[Image.Image, list[int]]:
    """As `draw_mask` without the legend; and the classes that are shown."""
    out = np.asarray(image.convert("RGB")).astype(np.float32)
    mask = stretched(mask, image.size)
    colours = class_colours(len(classes)).astype(np.float32)
    shown = mask < len(classes)
    if classes and classes[0].casefold() == GROUND:
        shown &= mask != 0
    out[shown] = (1 - strength) * out[shown] + strength * colours[mask[shown]]
    return Image.fromarray(out.round().astype(np.uint8)), np.unique(mask[shown]).tolist()


def draw_instances(
    image: Image.Image, things: Instances, classes: Sequence[str], strength: float = STRENGTH
) -> Image.Image:
    """The image with each thing in the colour of its class, a line around it, and a box with its name and score.

    Things of an image of another size are stretched; the surest lies on top.
    """
    out = np.asarray(image.convert("RGB")).astype(np.float32)
    colours = class_colours(len(classes)).astype(np.float32)
    for number in reversed(range(len(things))):
        inside = stretched(things.inside(number).astype(np.uint8), image.size) > 0
        colour = colours[things.labels[number]]
        out[inside] = (1 - strength) * out[inside] + strength * colour
        out[inside & ~binary_erosion(inside, iterations=max(1, max(image.size) // 400))] = colour
    painted = Image.fromarray(out.round().astype(np.uint8))
    factors = np.array([image.size[0] / things.size[0], image.size[1] / things.size[1]] * 2, np.float32)
    return draw_detections(painted, replace(things.detections, xyxy=things.xyxy * factors), classes)


def draw_errors(image: Image.Image, mask: np.ndarray, truth: np.ndarray) -> Image.Image:
    """The image in grey, with what `mask` has wrong in orange; void pixels of `truth` are white."""
    grey = np.asarray(image.convert("L").resize(truth.shape[::-1])).astype(np.float32)
    out = np.repeat((0.6 * grey + 80)[..., None], 3, axis=2)
    wrong = (stretched(mask, truth.shape[::-1]) != truth) & (truth != VOID)
    out[wrong] = 0.25 * out[wrong] + 0.75 * np.array([213, 94, 0], np.float32)
    out[truth == VOID] = 255
    return Image.fromarray(np.clip(out, 0, 255).astype(np.uint8))


def stretched(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A class map [H, W] at `size` (width, height), by the nearest pixel."""
    if mask.shape == size[::-1]:
        return mask
    return np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))


def palette_png(mask: np.ndarray, classes: int) -> bytes:
    """A PNG whose pixels are class indices uint8 [H, W], with the colours they are drawn in; void is white."""
    colours = np.full((256, 3), 255, np.uint8)
    colours[:classes] = class_colours(classes)
    image = Image.fromarray(mask.astype(np.uint8))
    image.putpalette(colours.reshape(-1).tolist())
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def with_legend(
    image: Image.Image, present: Sequence[int], classes: Sequence[str], shares: dict[str, float] | None = None
) -> Image.Image:
    """The image with a swatch and name for each class that is there, in its upper left corner."""
    colours = class_colours(len(classes))
    names = [
        (classes[label] + (f"  {shares[classes[label]]:.1f} %" if shares and classes[label] in shares else ""), label)
        for label in list(present)[:LISTED]
    ]
    if not names:
        return image
    font = ImageFont.load_default(size=max(10, round(max(image.size) / 45)))
    line = font.getbbox("Ag")[3] + 4
    wide = line + 8 + round(max(font.getlength(name) for name, _ in names))
    out = image.copy()
    pen = ImageDraw.Draw(out, "RGBA")
    pen.rectangle((0, 0, wide + 4, line * len(names) + 4), fill=(255, 255, 255, 190))
    for row, (name, label) in enumerate(names):
        top = 2 + row * line
        pen.rectangle((4, top + 2, line, top + line - 2), fill=tuple(colours[label].tolist()))
        pen.text((line + 5, top), name, fill=INK, font=font)
    return out


def class_bars_figure(
    values: Sequence[float | None], classes: Sequence[str], mean: float, title: str, most: int = 40
) -> Figure:
    """A bar of 0..1 for each class that has a value, worst first, and the mean of all as a line."""
    known = [(value, name) for value, name in zip(values, classes, strict=True) if value is not None]
    rows = sorted(known)[:most]
    made = figure(6.0, 1.2 + 0.28 * max(1, len(rows)))
    axes = made.add_subplot()
    axes.barh(range(len(rows)), [value for value, _ in rows], height=0.62, color=RIGHT)
    for place, (value, _) in enumerate(rows):
        axes.text(min(value + 0.01, 0.93), place, f"{value:.3f}", va="center", fontsize=8, color=INK)
    axes.axvline(mean, color=INK, linewidth=1, linestyle="--")
    axes.set_yticks(range(len(rows)), [short(name, 24) for _, name in rows])
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel=title, title=f"mean {mean:.3f}")
    tidy(axes, grid="x")
    return made


def class_gains_figure(
    before: Sequence[float], after: Sequence[float], classes: Sequence[str], most: int = 40
) -> Figure:
    """A bar for each class from one IoU to another, the largest gain first; classes where both are NaN are left out."""
    known = [
        (new - old, old, new, name)
        for old, new, name in zip(before, after, classes, strict=True)
        if np.isfinite(new - old)
    ]
    rows = sorted(known, reverse=True)[:most]
    made = figure(6.0, 1.2 + 0.28 * max(1, len(rows)))
    axes = made.add_subplot()
    for place, (gain, old, new, _) in enumerate(rows):
        axes.barh(place, gain, height=0.62, color=RIGHT if gain >= 0 else WRONG)
        axes.text(
            gain, place, f" {old:.3f} to {new:.3f} ", va="center", ha="left" if gain >= 0 else "right", fontsize=8
        )
    reach = 1.6 * max([0.02, *(abs(gain) for gain, *_ in rows)])
    axes.axvline(0, color=INK, linewidth=1)
    axes.set_yticks(range(len(rows)), [short(name, 24) for *_, name in rows])
    axes.invert_yaxis()
    axes.set(xlim=(-reach, reach), xlabel="gain in IoU")
    tidy(axes, grid="x")
    return made
