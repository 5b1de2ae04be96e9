"""Class maps, as every room passes them: the class index of each pixel, uint8 [H, W], 255 where it is not known."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

VOID = 255
MOST_CLASSES = 255  # indices 0..254 are left beside VOID
Things = list[tuple[int, np.ndarray]]  # of one image: a class index and the pixels bool [H, W] of each


class MaskSource(Protocol):
    """Where the class map of one image comes from; it is made when it is read."""

    def read(self) -> np.ndarray:
        """Class map uint8 [H, W], VOID where the class is not known. Raises BadImage for a damaged file."""


@dataclass(frozen=True, eq=False)
class ArrayMask:
    """A class map in memory."""

    pixels: np.ndarray

    def read(self) -> np.ndarray:
        return self.pixels


@dataclass(frozen=True)
class Unknown:
    """The class map of an image of `size` (width, height) that nobody labelled: void all over."""

    size: tuple[int, int]

    def read(self) -> np.ndarray:
        return np.full(self.size[::-1], VOID, np.uint8)


@dataclass(frozen=True, eq=False)
class Relabelled:
    """A class map with class i called place[i]; VOID where that is negative."""

    mask: MaskSource
    place: Sequence[int]

    def read(self) -> np.ndarray:
        return look_up(self.place)[self.mask.read()]

    def things(self) -> "Things":
        return [(self.place[label], inside) for label, inside in things_of(self.mask) if self.place[label] >= 0]


@dataclass(frozen=True, eq=False)
class Turned:
    """The class map of an image as it is stored, turned upright with it (EXIF orientation 2..8)."""

    mask: MaskSource
    orientation: int

    def read(self) -> np.ndarray:
        return upright_map(self.mask.read(), self.orientation)

    def things(self) -> "Things":
        return [(label, upright_map(inside, self.orientation)) for label, inside in things_of(self.mask)]


def things_of(mask: MaskSource) -> Things:
    """The things that a class map shows, each with its class: those that its source tells apart (`things`), else the
    connected parts of each class."""
    own = getattr(mask, "things", None)
    return own() if own is not None else connected(mask.read())


def connected(pixels: np.ndarray) -> Things:
    """The parts of a class map that hang together by sides or corners, class by class."""
    from scipy.ndimage import label

    out = []
    for index in np.unique(pixels[pixels != VOID]).tolist():
        parts, count = label(pixels == index, np.ones((3, 3)))
        out += [(index, parts == number) for number in range(1, count + 1)]
    return out


def upright_map(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels [H, W] as they lie once an image of this EXIF orientation (1..8) is upright."""
    if orientation >= 5:
        pixels = pixels.T
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def look_up(place: Sequence[int]) -> np.ndarray:
    """A table uint8 [256] from class i to place[i], VOID for all else."""
    table = np.full(256, VOID, np.uint8)
    for index, new in enumerate(place):
        table[index] = new if new >= 0 else VOID
    return table


def pixels_by_class(classes: int, pixels: np.ndarray) -> np.ndarray:
    """Pixels of each class, int64 [C + 1]; the last counts VOID."""
    counts = np.bincount(pixels.reshape(-1), minlength=256)
    return np.append(counts[:classes], counts[VOID])
