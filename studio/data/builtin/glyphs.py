"""Characters drawn from the fonts that matplotlib carries: hundreds of classes, and each font a domain."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import PIL
from PIL import Image, ImageDraw, ImageFont

#: domain -> font file
FONTS = {
    "sans": "DejaVuSans.ttf",
    "sans-bold": "DejaVuSans-Bold.ttf",
    "sans-oblique": "DejaVuSans-Oblique.ttf",
    "sans-bold-oblique": "DejaVuSans-BoldOblique.ttf",
    "serif": "DejaVuSerif.ttf",
    "serif-bold": "DejaVuSerif-Bold.ttf",
    "serif-italic": "DejaVuSerif-Italic.ttf",
    "serif-bold-italic": "DejaVuSerif-BoldItalic.ttf",
    "mono": "DejaVuSansMono.ttf",
    "mono-bold": "DejaVuSansMono-Bold.ttf",
    "mono-oblique": "DejaVuSansMono-Oblique.ttf",
    "mono-bold-oblique": "DejaVuSansMono-BoldOblique.ttf",
    "stix": "STIXGeneral.ttf",
    "stix-bold": "STIXGeneralBol.ttf",
}
#: where classes are taken from, in this order: digits, A-Z, a-z, Greek, Cyrillic, arrows, mathematics, shapes,
#: signs, ASCII's signs, letters with accents
RANGES = (
    (0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A), (0x391, 0x3C9), (0x401, 0x45F), (0x2190, 0x21FF), (0x2200, 0x22FF),
    (0x25A0, 0x25FF), (0x2600, 0x26FF), (0x21, 0x7E), (0xA1, 0x17F),
)  # fmt: skip
ALIKE = 0.1  # of the ink: two characters that differ less are one class


@dataclass(frozen=True)
class GlyphSource:
    """One image of a character; it is drawn when it is read."""

    character: str
    font: str
    number: int
    size: int
    seed: int

    def read(self) -> np.ndarray:
        return draw_glyph(self.character, self.font, self.number, self.size, self.seed)

    def digest(self) -> str:
        """Of what decides the image, so that nothing is drawn to find out whether its features are known."""
        import matplotlib

        return hashlib.sha256(f"{self!r} {matplotlib.__version__} {PIL.__version__}".encode()).hexdigest()


def draw_glyph(character: str, font: str, number: int, size: int, seed: int) -> np.ndarray:
    """A character turned, scaled, shifted and toned at random, some light on dark, uint8 [size, size, 3]."""
    draw = np.random.default_rng((seed, ord(character), list(FONTS).index(font), number))
    scale, turn = draw.uniform(0.55, 0.8), draw.uniform(-12, 12)
    face = _face(font, max(8, round(size * scale)))
    left, top, right, bottom = face.getbbox(character)
    tile = Image.new("L", (size, size), 0)
    room_x, room_y = max(0, size - (right - left)) * 0.25, max(0, size - (bottom - top)) * 0.25
    x = (size - (right - left)) / 2 - left + draw.uniform(-room_x, room_x)
    y = (size - (bottom - top)) / 2 - top + draw.uniform(-room_y, room_y)
    ImageDraw.Draw(tile).text((x, y), character, fill=255, font=face)
    ink = np.asarray(tile.rotate(turn, Image.Resampling.BILINEAR), np.float32)[..., None] / 255.0
    paper, pen = draw.uniform(170, 255, 3), draw.uniform(0, 90, 3)
    if draw.random() < 0.3:
        paper, pen = pen, paper
    image = paper * (1 - ink) + pen * ink + draw.normal(0, 4, (size, size, 1))
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


@cache
def alphabet() -> list[str]:
    """Characters that every font of FONTS has, without those that look like one before but for size and place."""
    from fontTools.ttLib import TTFont

    common: set[int] | None = None
    for file in FONTS.values():
        with TTFont(_path(file), lazy=True) as font:
            points = set(font.getBestCmap())
        common = points if common is None else common & points
    points = dict.fromkeys(point for low, high in RANGES for point in range(low, high + 1))
    kept: list[str] = []
    shapes = np.empty((len(points), 512), np.float32)
    for character in (chr(point) for point in points if point in (common or set())):
        shape = _shape(character)
        if shape is None:
            continue
        others = shapes[: len(kept)]
        if not len(kept) or (np.abs(others - shape).sum(1) > ALIKE * np.minimum(others.sum(1), shape.sum())).all():
            shapes[len(kept)] = shape
            kept.append(character)
    return kept


def class_name(character: str) -> str:
    """The character, with its code point where that helps to tell it from others."""
    return character if character.isascii() and character.isalnum() else f"{character} U+{ord(character):04X}"


def _shape(character: str) -> np.ndarray | None:
    """How a character looks in sans and serif, whatever its size and place, float32 [512]; None where it is blank."""
    looks = []
    for font in ("sans", "serif"):
        mask = _face(font, 64).getmask(character)
        image = Image.frombytes("L", mask.size, bytes(mask))
        box = image.getbbox()
        if box is None:
            return None
        side = max(box[2] - box[0], box[3] - box[1])
        square = Image.new("L", (side, side))
        square.paste(image.crop(box), ((side - box[2] + box[0]) // 2, (side - box[3] + box[1]) // 2))
        looks.append(np.asarray(square.resize((16, 16), Image.Resampling.BOX), np.float32).ravel())
    return np.concatenate(looks)


@cache
def _face(font: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(_path(FONTS[font])), size, layout_engine=ImageFont.Layout.BASIC)


def _path(file: str) -> Path:
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / file
