"""Curves of several runs over each other, drawn as SVG with a legend that is never cut."""

import math
from collections.abc import Mapping, Sequence
from html import escape

Point = tuple[float, float]  # step, value
WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM, TOP = 720, 260, 66, 24, 34, 16  # pixels; labels are larger on a phone
COLOURS = ("#0f766e", "#b45309", "#6d28d9", "#be123c", "#1d4ed8", "#4d7c0f", "#a21caf", "#475569")
DASHES = ("", "6 4", "2 3")  # once the colours are used up


def draw(curves: Mapping[str, Sequence[Point]], title: str) -> str:
    """The curves by name; `title` says what the values are. Empty where there is no point."""
    points = [point for curve in curves.values() for point in curve if math.isfinite(point[1])]
    if not points:
        return ""
    across, up = ticks([step for step, _ in points]), ticks([value for _, value in points])

    def place(point: Point) -> tuple[float, float]:
        x = LEFT + (point[0] - across[0]) / (across[-1] - across[0]) * (WIDTH - LEFT - RIGHT)
        return x, HEIGHT - BOTTOM - (point[1] - up[0]) / (up[-1] - up[0]) * (HEIGHT - BOTTOM - TOP)

    grid = [_across(place((step, up[0])), step) for step in across] + [_up(place((across[0], at)), at) for at in up]
    lines = [_line([place(point) for point in curve], _style(number), name)
             for number, (name, curve) in enumerate(curves.items()) if curve]  # fmt: skip
    legend = "".join(f"<li>{_sample(number)} {escape(name)}</li>" for number, name in enumerate(curves))
    label = escape(title)
    return (
        f"<figure class='curves'><figcaption>{label}</figcaption><svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img' "
        f"aria-label='{label}'>{''.join(grid + lines)}</svg><ul>{legend}</ul></figure>"
    )


def ticks(values: Sequence[float], most: int = 6) -> list[float]:
    """Round numbers about evenly apart, from below the least value to above the largest."""
    low, high = min(values), max(values)
    if low == high:
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / (most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def _style(number: int) -> str:
    colour, dash = COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS) % len(DASHES)]
    return f"fill='none' stroke='{colour}' stroke-width='2'" + (f" stroke-dasharray='{dash}'" if dash else "")


def _sample(number: int) -> str:
    return f"<svg viewBox='0 0 26 8' aria-hidden='true'><path d='M1 4H25' {_style(number)}/></svg>"


def _line(pixels: Sequence[Point], style: str, name: str) -> str:
    way = " ".join(f"{x:.1f},{y:.1f}" for x, y in pixels if math.isfinite(y))
    return f"<polyline points='{way}' {style}><title>{escape(name)}</title></polyline>"


def _across(at: Point, value: float) -> str:
    x, y = at
    text = f"<text x='{x:.1f}' y='{y + 20:.1f}' text-anchor='middle'>{round(value, 10):g}</text>"
    return f"<path class='grid' d='M{x:.1f} {TOP}V{y:.1f}'/>{text}"


def _up(at: Point, value: float) -> str:
    x, y = at
    text = f"<text x='{x - 8:.1f}' y='{y + 4:.1f}' text-anchor='end'>{round(value, 10):g}</text>"
    return f"<path class='grid' d='M{x:.1f} {y:.1f}H{WIDTH - RIGHT}'/>{text}"
