"""Files of masks: whatever the file, out comes a number or a colour for each pixel, or a reason why not.

A number is what the file stores: grey values of 1, 8 or 16 bits, the index into a palette, the red of 16 bits a channel
(as SYNTHIA has it, with the instance in green). A colour is 0xRRGGBB.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from PIL import Image

from studio.data.files.images import BadImage, read_deep, read_stored
from studio.data.files.limits import LIMITS, Limits
from studio.data.items import ImageSource
from studio.data.masks.class_map import VOID

COLOURS, NUMBERS = 2**24, 2**16  # values that are told apart
DARK, LIGHT = 64, 192  # grey values that a lossy file still means as black and white


@dataclass(frozen=True, eq=False)
class Values:
    """What one file stores: values int32 [H, W], numbers or (`coloured`) colours; its palette where it has one.

    `lossy`: by JPEG, which leaves no number as it was.
    """

    pixels: np.ndarray
    coloured: bool = False
    palette: np.ndarray | None = None  # colours int32 [256]
    lossy: bool = False

    def colours(self) -> np.ndarray:
        """The colour of each pixel, int32 [H, W]."""
        if self.coloured:
            return self.pixels
        if self.palette is not None:
            return self.palette[np.clip(self.pixels, 0, 255)]
        return self.pixels * 0x010101


def read_values(source: ImageSource, name: str, limits: Limits = LIMITS) -> Values:
    """The values of a mask's file. Raises BadImage for one that is damaged, too large, or stores no such thing."""
    deep = read_deep(source, name, limits)
    if deep is not None:
        return Values(deep[..., 0].astype(np.int32))
    image = read_stored(source, name, limits)
    lossy = image.format in ("JPEG", "MPO")
    if image.mode in ("RGB", "RGBA", "RGBX", "YCbCr", "CMYK"):
        return _of_colours(np.asarray(image.convert("RGB"), np.int32), lossy)
    if image.mode in ("LA", "La", "PA"):
        image = image.getchannel(0)
    pixels = np.asarray(image)
    if pixels.dtype.kind == "f" and not np.array_equal(pixels, np.round(pixels)):
        raise BadImage(name, "its values are no whole numbers, so they name no class")
    pixels = pixels.astype(np.int32)
    return Values(pixels, palette=_palette(image), lossy=lossy)


def _of_colours(channels: np.ndarray, lossy: bool) -> Values:
    """Values of channels [H, W, 3]; equal ones are a number that was saved as a colour."""
    red, green, blue = (channels[..., channel] for channel in range(3))
    if np.array_equal(red, green) and np.array_equal(red, blue):
        return Values(red, lossy=lossy)
    return Values(red * 0x10000 + green * 0x100 + blue, coloured=True, lossy=lossy)


def _palette(image: Image.Image) -> np.ndarray | None:
    if image.mode != "P":
        return None
    flat = np.zeros(768, np.int32)
    stored = np.array(image.getpalette("RGB") or [], np.int32)[:768]
    flat[: len(stored)] = stored
    red, green, blue = flat.reshape(-1, 3).T
    return red * 0x10000 + green * 0x100 + blue


@dataclass(frozen=True, eq=False)
class Coding:
    """Which class a value stands for: `classes` from value to class index; what is not in it is void.

    `coloured`: values are colours. `halved`: grey values of a lossy file that are meant as black or white.
    """

    classes: dict[int, int]
    coloured: bool = False
    halved: bool = False

    def class_map(self, values: Values) -> np.ndarray:
        """Class map uint8 [H, W] of what a file stores."""
        pixels = values.colours() if self.coloured else values.pixels
        if self.halved:
            pixels = np.where(pixels > (DARK + LIGHT) // 2, 255, 0)
        inside = (pixels >= 0) & (pixels < len(self._table))
        return np.where(inside, self._table[np.where(inside, pixels, 0)], np.uint8(VOID))

    @cached_property
    def _table(self) -> np.ndarray:
        table = np.full(COLOURS if self.coloured else NUMBERS, VOID, np.uint8)
        for value, index in self.classes.items():
            if 0 <= value < len(table):
                table[value] = index
        return table


@dataclass(frozen=True, eq=False)
class MaskFile:
    """The class map in one file."""

    source: ImageSource
    name: str
    coding: Coding = field(repr=False)
    limits: Limits = LIMITS

    def read(self) -> np.ndarray:
        return self.coding.class_map(read_values(self.source, self.name, self.limits))
