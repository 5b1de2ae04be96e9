"""Two small pictures computed live by the methods themselves: a class that moves as a shot is added, domains that meet.

Each is made on points of a plane, with the method's own code, and drawn as SVG.
"""

from inspect import signature
from itertools import pairwise
from typing import Any

import numpy as np

from studio.core import registry
from studio.core.faces import EpisodeHead, Episodes, Estimator
from studio.ui.catalogue import say

WIDTH, HEIGHT, CELL = 560, 360, 10  # pixels
COLOURS = ("#0f766e", "#b45309", "#6d28d9")
CENTRES = np.array([[-1.6, -0.9], [1.7, -0.6], [0.1, 1.5]])
SPREAD, MOST_SHOTS, HELD_OUT = 0.9, 10, 100  # held-out points of each class
SIDES = 4.0  # half the width of the plane that is shown
PER_DOMAIN = 40  # points of each class and domain
TURNED, STRETCHED, MOVED = 0.7, np.array([1.5, 0.6]), np.array([1.2, -0.9])  # the source, against the target


def kind_of(method: str) -> str:
    """`shots` for a head that names each point by itself, `domains` for what moves a source, empty for the rest."""
    cls = registry.get(method)
    if issubclass(cls, EpisodeHead):
        return "" if cls.transductive or cls.scores is EpisodeHead.scores else "shots"
    moves = issubclass(cls, Estimator) and hasattr(cls, "align") and hasattr(cls, "embed")
    return "domains" if moves and "few" not in signature(cls.fit).parameters else ""


def shots_picture(method: str, shots: int, language: str = "en") -> str:
    """Which class a head gives each place of a plane, from `shots` points a class; each class's mean, and where it was.

    Raises UsageError for a method that is none.
    """
    head = registry.get(method)(None)
    draw = np.random.default_rng(17)  # no shot lies outside the picture
    points = CENTRES[:, None] + SPREAD * draw.standard_normal((3, MOST_SHOTS, 2))
    unseen = CENTRES[:, None] + SPREAD * draw.standard_normal((3, HELD_OUT, 2))
    support = points[:, :shots]
    rows, columns = HEIGHT // CELL, WIDTH // CELL
    x, y = np.meshgrid((np.arange(columns) + 0.5) * CELL, (np.arange(rows) + 0.5) * CELL)
    places = _to_plane(np.stack([x, y], axis=-1).reshape(-1, 2))
    named = _classes(head, support, np.concatenate([places, unseen.reshape(-1, 2)]))
    regions, right = named[: len(places)], named[len(places) :] == np.repeat(np.arange(3), HELD_OUT)
    parts = _bands(regions.reshape(rows, columns))
    for label in range(3):
        parts += [_dot(point, label, 5) for point in support[label]]
        mean = support[label].mean(axis=0)
        parts.append(_trail(np.cumsum(support[label], axis=0) / np.arange(1, shots + 1)[:, None]))
        parts.append(_cross(mean, label))
    return _svg(parts, say("learn.shots.caption", language, shots=shots, right=100 * right.mean()))


def domains_picture(method: str, strength: float, language: str = "en") -> str:
    """Two domains on their way to each other: 0 as they are, 1 as the method aligns them; empty where it moves none.

    The caption has the share of the target that the nearest mean of a source class names right.
    """
    labels, before = np.repeat(np.arange(3), PER_DOMAIN), _two_domains()
    after = _aligned(method, *before, labels)
    if after is None:
        return ""
    source, target = ((1 - strength) * start + strength * end for start, end in zip(before, after, strict=True))
    means = np.stack([source[labels == label].mean(axis=0) for label in range(3)])
    named = ((target[:, None] - means) ** 2).sum(axis=-1).argmin(axis=1)
    parts = [_ring(point, label) for point, label in zip(target, labels, strict=True)]
    parts += [_dot(point, label, 4) for point, label in zip(source, labels, strict=True)]
    parts += [_cross(mean, label) for label, mean in enumerate(means)]
    right = 100 * float((named == labels).mean())
    return _svg(parts, say("learn.domains.caption", language, strength=strength, right=right))


def _two_domains() -> tuple[np.ndarray, np.ndarray]:
    """Source and target points [3 * PER_DOMAIN, 2]: the same classes, the source's turned, stretched and moved."""
    draw = np.random.default_rng(7)
    source, target = (
        (CENTRES[:, None] + 0.5 * draw.standard_normal((3, PER_DOMAIN, 2))).reshape(-1, 2) for _ in range(2)
    )
    turn = np.array([[np.cos(TURNED), -np.sin(TURNED)], [np.sin(TURNED), np.cos(TURNED)]])
    return (source * STRETCHED) @ turn.T + MOVED, target


def _aligned(
    method: str, source: np.ndarray, target: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Both domains as the method brings them together, as wide as they were; None where it leaves the source alone."""
    cls = registry.get(method)
    asked = {"normalize": "none", **({"dim": 2} if "dim" in cls.Params.model_fields else {})}
    aligner = cls(cls.Params.model_validate(asked)).fit(source, labels, target)
    moved = getattr(aligner, "aligned_source", source)
    if moved.shape != source.shape or np.allclose(moved, source):
        return None
    found = aligner.embed(target)
    width = np.concatenate([moved, found]).std()  # components of a kernel have units of their own
    scale = 1.0 if 0.2 < width < 5 else np.concatenate([source, target]).std() / max(width, 1e-12)
    return moved * scale, found * scale


def _classes(head: Any, support: np.ndarray, query: np.ndarray) -> np.ndarray:
    """The class of each query [Q], from support points [3, shots, 2]."""
    import torch

    shots = support.shape[1]
    episode = Episodes(
        support=torch.tensor(support.reshape(1, -1, 2), dtype=torch.float32),
        labels=torch.arange(3).repeat_interleave(shots).unsqueeze(0),
        query=torch.tensor(query, dtype=torch.float32).unsqueeze(0),
        query_mask=torch.ones(1, len(query), dtype=torch.bool),
        ways=3,
    )
    return head.scores(episode)[0].detach().argmax(dim=1).numpy()


def _to_plane(pixels: np.ndarray) -> np.ndarray:
    return (pixels - np.array([WIDTH, HEIGHT]) / 2) * np.array([1, -1]) * 2 * SIDES / WIDTH


def _to_pixels(points: np.ndarray) -> np.ndarray:
    return points * np.array([1, -1]) * WIDTH / (2 * SIDES) + np.array([WIDTH, HEIGHT]) / 2


def _bands(regions: np.ndarray) -> list[str]:
    """Rectangles of the classes of cells [rows, columns], neighbours of a row in one."""
    bands = []
    for row, classes in enumerate(regions):
        starts = [0, *np.flatnonzero(np.diff(classes)) + 1, len(classes)]
        bands += [
            f"<rect x='{CELL * start}' y='{CELL * row}' width='{CELL * (end - start)}' height='{CELL}' "
            f"fill='{COLOURS[classes[start]]}' opacity='0.16'/>"
            for start, end in pairwise(starts)
        ]
    return bands


def _dot(point: np.ndarray, label: int, radius: int) -> str:
    x, y = _to_pixels(point)
    return f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{radius}' fill='{COLOURS[label]}'/>"


def _ring(point: np.ndarray, label: int) -> str:
    x, y = _to_pixels(point)
    return f"<circle cx='{x:.1f}' cy='{y:.1f}' r='5' fill='none' stroke='{COLOURS[label]}' stroke-width='1.6'/>"


def _cross(point: np.ndarray, label: int) -> str:
    x, y = _to_pixels(point)
    lines = f"M{x - 9:.1f} {y:.1f}H{x + 9:.1f}M{x:.1f} {y - 9:.1f}V{y + 9:.1f}"
    return (
        f"<path d='{lines}' stroke='#fff' stroke-width='7' stroke-linecap='round'/>"
        f"<path class='mean' d='{lines}' stroke='{COLOURS[label]}' stroke-width='4' stroke-linecap='round'/>"
    )


def _trail(points: np.ndarray) -> str:
    """The way through these points [n, 2], a dot at each."""
    pixels = [f"{x:.1f},{y:.1f}" for x, y in _to_pixels(points)]
    dots = "".join(f"<circle cx='{x:.1f}' cy='{y:.1f}' r='2.5' fill='currentColor'/>" for x, y in _to_pixels(points))
    dashes = "fill='none' stroke='currentColor' stroke-width='1.5' stroke-dasharray='4 3'"
    return f"<polyline class='trail' points='{' '.join(pixels)}' {dashes}/>{dots}"


def _svg(parts: list[str], caption: str) -> str:
    return (
        f"<figure class='live'><svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='{caption}'>"
        f"{''.join(parts)}</svg>"
        f"<figcaption>{caption}</figcaption></figure>"
    )
