"""Sets that are there without any download: scanned digits, and characters drawn from matplotlib's fonts."""

from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from studio.core.errors import DataError, nearest
from studio.data.items import ArraySource, Dataset, Item

#: domain of the glyphs -> the font file that matplotlib carries
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
}
#: code points from which classes are taken: Latin, Greek, Cyrillic, Armenian, Georgian, arrows, signs
RANGES = (
    (0x21, 0x7E), (0xA1, 0xFF), (0x100, 0x17F), (0x391, 0x3C9), (0x401, 0x45F), (0x531, 0x556), (0x561, 0x586),
    (0x2190, 0x21FF), (0x2200, 0x22FF), (0x25A0, 0x25FF), (0x2600, 0x26FF),
)  # fmt: skip


def load(name: str, **options: str) -> Dataset:
    """The built-in set `name`. Raises DataError for an unknown set or option."""
    makers = {
        "digits": (_digits, {"per_class"}),
        "glyphs": (_glyphs, {"classes", "per_class", "domain", "size", "seed"}),
    }
    if name not in makers:
        raise DataError(f"builtin:{name}: there is no such set.{nearest(name, makers)}")
    make, known = makers[name]
    for option in options:
        if option not in known:
            raise DataError(f"builtin:{name} has no option {option!r}.{nearest(option, known)}")
    return make(**options)


def _whole(value: str, option: str, low: int = 1) -> int:
    if not str(value).isdigit() or int(value) < low:
        raise DataError(f"builtin: option {option} is {value!r}; expected a whole number from {low} on.")
    return int(value)


def _digits(per_class: str = "1000") -> Dataset:
    """1,797 handwritten digits scanned at 8 x 8, ten classes (UCI optical recognition of handwritten digits)."""
    from sklearn.datasets import load_digits

    most = _whole(per_class, "per_class")
    found = load_digits()
    pixels = np.round(found.images * (255.0 / 16.0)).astype(np.uint8)
    taken = dict.fromkeys(range(10), 0)
    items = []
    for index, label in enumerate(found.target.tolist()):
        if taken[label] < most:
            taken[label] += 1
            items.append(Item(f"digit-{index:04d}", label, ArraySource(pixels[index])))
    return Dataset("builtin:digits", [str(digit) for digit in range(10)], items)


def _glyphs(
    classes: str = "200", per_class: str = "24", domain: str = "", size: str = "64", seed: str = "0"
) -> Dataset:
    """Characters as classes, fonts as domains; every picture turned, scaled, shifted and toned at random.

    `domain` keeps some fonts, such as domain=serif or domain=serif+serif-bold; `per_class` pictures are
    shared out evenly over them. The same options give the same pictures.
    """
    fonts = _fonts(domain)
    characters = alphabet()[: _whole(classes, "classes", 2)]
    per, side, start = _whole(per_class, "per_class"), _whole(size, "size", 16), _whole(seed, "seed", 0)
    items = []
    for label, character in enumerate(characters):
        for number in range(per):
            font = fonts[number % len(fonts)]
            source = GlyphSource(character, font, number, side, start)
            items.append(Item(f"U+{ord(character):04X}-{font}-{number:03d}", label, source, font))
    return Dataset("builtin:glyphs", [f"{character} U+{ord(character):04X}" for character in characters], items)


class GlyphSource:
    """One drawn character; it is drawn when it is read."""

    def __init__(self, character: str, font: str, number: int, size: int, seed: int) -> None:
        self._key = (character, font, number, size, seed)

    def read(self) -> np.ndarray:
        return draw_glyph(*self._key)

    def digest(self) -> str:
        return ArraySource(self.read()).digest()


def draw_glyph(character: str, font: str, number: int, size: int, seed: int) -> np.ndarray:
    """A character, dark on light or light on dark, uint8 [size, size, 3]."""
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
    paper = draw.uniform(170, 255, 3)
    pen = draw.uniform(0, 90, 3)
    if draw.random() < 0.3:
        paper, pen = pen, paper
    picture = paper * (1 - ink) + pen * ink + draw.normal(0, 4, (size, size, 1))
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)


@cache
def alphabet() -> list[str]:
    """Characters that every font of FONTS has and draws differently from all the others, in code order."""
    from fontTools.ttLib import TTFont

    common: set[int] | None = None
    for file in FONTS.values():
        with TTFont(_path(file), lazy=True) as font:
            points = set(font.getBestCmap())
        common = points if common is None else common & points
    seen: dict[bytes, str] = {}
    face = _face("sans", 32)
    for low, high in RANGES:
        for point in range(low, high + 1):
            if point in (common or set()) and chr(point).isprintable() and not chr(point).isspace():
                seen.setdefault(bytes(face.getmask(chr(point))), chr(point))
    return list(seen.values())


def _fonts(domain: str) -> list[str]:
    chosen = domain.replace("+", " ").split() if domain else list(FONTS)
    for name in chosen:
        if name not in FONTS:
            raise DataError(f"builtin:glyphs has no domain {name!r}.{nearest(name, FONTS)}")
    return chosen


@cache
def _face(font: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(_path(FONTS[font])), size)


def _path(file: str) -> Path:
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / file
