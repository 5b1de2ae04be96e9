"""Sets that are there without any download: scanned digits, characters of matplotlib's fonts, scenes, individuals."""

import numpy as np

from studio.core.errors import DataError, nearest
from studio.data.builtin.glyphs import FONTS, GlyphSource, alphabet, class_name
from studio.data.files.limits import LIMITS, Limits
from studio.data.items import ArraySource, Dataset, Item


def load(name: str, limits: Limits = LIMITS, **options: str) -> Dataset:
    """The built-in set `name`. Raises DataError for an unknown set or option, or a value out of range."""
    makers = {
        "digits": (_digits, {"per_class"}),
        "glyphs": (_glyphs, {"classes", "per_class", "domain", "size", "seed"}),
        "individuals": (_individuals, {"individuals", "cameras", "views", "place", "size", "seed"}),
        "scenes": (_scenes, {"images", "classes", "size", "look", "most", "seed", "truth"}),
    }
    if name not in makers:
        raise DataError(f"builtin:{name}: there is no such set.{nearest(name, makers)}")
    make, known = makers[name]
    for option in options:
        if option not in known:
            raise DataError(f"builtin:{name} has no option {option!r}.{nearest(option, known)}")
    return make(limits, **options)


def _digits(limits: Limits, per_class: str | None = None) -> Dataset:
    """1,797 handwritten digits scanned at 8 x 8, ten classes (UCI optical recognition of handwritten digits).

    `per_class` takes the first so many of each class; a class has 174 to 183.
    """
    from sklearn.datasets import load_digits

    most = None if per_class is None else _whole("digits", "per_class", per_class, 1, 174)
    scans = load_digits()
    pixels = np.round(scans.images * (255.0 / 16.0)).astype(np.uint8)
    taken = dict.fromkeys(range(10), 0)
    items = []
    for index, label in enumerate(scans.target.tolist()):
        if most is None or taken[label] < most:
            taken[label] += 1
            items.append(Item(f"digit-{index:04d}", label, ArraySource(pixels[index])))
    return Dataset("builtin:digits", [str(digit) for digit in range(10)], items)


def _glyphs(
    limits: Limits, classes: str = "200", per_class: str = "24", domain: str = "", size: str = "64", seed: str = "0"
) -> Dataset:
    """Characters as classes (the digits first, then letters), fonts as domains; every image is another.

    `domain` keeps some fonts, such as domain=serif or domain=serif+serif-bold; `per_class` images are
    shared out evenly over them. The same options give the same images.
    """
    fonts = _fonts(domain)
    characters = alphabet()
    count = _whole("glyphs", "classes", classes, 2, len(characters))
    per = _whole("glyphs", "per_class", per_class, 1, 100_000)
    side, start = _whole("glyphs", "size", size, 16, 2048), _whole("glyphs", "seed", seed, 0, 2**31)
    _refuse_large("glyphs", count * per, side, limits)
    items = []
    for label, character in enumerate(characters[:count]):
        for number in range(per):
            font = fonts[number % len(fonts)]
            source = GlyphSource(character, font, number, side, start)
            items.append(Item(f"U+{ord(character):04X}-{font}-{number:03d}", label, source, font))
    return Dataset("builtin:glyphs", [class_name(character) for character in characters[:count]], items)


def _scenes(
    limits: Limits, images: str = "200", classes: str = "5", size: str = "192", look: str = "clear", most: str = "6",
    seed: str = "0", truth: str = "boxes",
) -> Dataset:  # fmt: skip
    """Scenes of characters with boxes: 1 to `most` in each, in the look clear, fog, night or infrared.

    The same options give the same images; another look shows the same things. `truth=masks` gives class maps, and
    `truth=pairs` the same scenes by clear day.
    """
    from studio.data.builtin.scenes import LOOKS, scenes

    if look not in LOOKS:
        raise DataError(f"builtin:scenes has no look {look!r}.{nearest(look, LOOKS)}")
    if truth not in ("boxes", "masks", "pairs"):
        raise DataError(f"builtin:scenes: truth is {truth!r}; expected boxes, masks or pairs.")
    count, side = _whole("scenes", "images", images, 1, 100_000), _whole("scenes", "size", size, 64, 2048)
    _refuse_large("scenes", count, side, limits)
    return scenes(
        count, _whole("scenes", "classes", classes, 1, len(alphabet())), side, look,
        _whole("scenes", "most", most, 1, 40), _whole("scenes", "seed", seed, 0, 2**31), truth,
    )  # fmt: skip


def _individuals(
    limits: Limits, individuals: str = "40", cameras: str = "3", views: str = "4", place: str = "0", size: str = "64",
    seed: str = "0",
) -> Dataset:  # fmt: skip
    """Individuals that several cameras see from several sides; another `place` has others, and other cameras.

    The same options give the same images.
    """
    from studio.data.builtin import individuals as drawn

    count = _whole("individuals", "individuals", individuals, 2, drawn.most_individuals())
    seers, sides = _whole("individuals", "cameras", cameras, 1, 100), _whole("individuals", "views", views, 1, 1000)
    side = _whole("individuals", "size", size, 16, 1024)
    _refuse_large("individuals", count * seers * sides, side, limits)
    where = _whole("individuals", "place", place, 0, drawn.PLACES - 1)
    return drawn.individuals(count, seers, sides, where, side, _whole("individuals", "seed", seed, 0, 2**31))


def _fonts(domain: str) -> list[str]:
    chosen = domain.replace("+", " ").split() if domain else list(FONTS)
    for name in chosen:
        if name not in FONTS:
            raise DataError(f"builtin:glyphs has no domain {name!r}.{nearest(name, FONTS)}")
    return list(dict.fromkeys(chosen))


def _refuse_large(name: str, images: int, side: int, limits: Limits) -> None:
    if images > limits.images or images * side**2 > limits.builtin_pixels:
        raise DataError(
            f"builtin:{name}: {images:,} images of {side} x {side} are more than are drawn here. Take fewer or smaller "
            f"ones: {min(limits.images, limits.builtin_pixels // side**2):,} of this size are allowed."
        )


def _whole(name: str, option: str, value: str, low: int, high: int) -> int:
    """An option's value as a whole number in low..high."""
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) < 20 and low <= int(text) <= high):
        raise DataError(f"builtin:{name}: {option} is {value!r}; expected a whole number from {low} to {high}.")
    return int(text)
