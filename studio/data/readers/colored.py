"""`colored:DIGITS?agree=0.9&part=1/3`: digits whose colour goes with their label in one domain, against it in another.

    colored:npz:mnist.npz?agree=0.9&part=1/3,colored:npz:mnist.npz?agree=0.8&part=2/3     the sources
    colored:npz:mnist.npz?agree=0.1&part=3/3                                              the unseen domain

Arjovsky et al. 2019, section 5.2 (ColoredMNIST): the label is whether the digit is 5 or more, and wrong in a quarter of
the images; the colour is that of the label in a share `agree` of them. The colour tells the label better than the shape
does where 0.75 < agree, and misleads where agree < 0.5.
"""

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from studio.core.errors import DataError
from studio.data.files.images import read_image
from studio.data.files.limits import Limits
from studio.data.items import Dataset, ImageSource
from studio.data.made_of import SHARED, number_of, originals, rows_of_part, seed_of

OPTIONS = None  # and those of the digits
OWN = {"agree": "share of images that have the colour of their label", "noise": "share of wrong labels, 0.25", **SHARED}
CLASSES = ["0-4", "5-9"]
RED, GREEN = 0, 1


@dataclass(frozen=True)
class ColoredSource:
    """A grey image as the brightness of one channel."""

    original: ImageSource
    channel: int

    def read(self) -> np.ndarray:
        grey = np.asarray(read_image(self.original).convert("L"))
        pixels = np.zeros((*grey.shape, 3), np.uint8)
        pixels[..., self.channel] = grey
        return pixels

    def digest(self) -> str:
        return hashlib.sha256(f"{self.original.digest()} in channel {self.channel}".encode()).hexdigest()


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError for classes that are no digits, or an option out of range."""
    digits = originals("colored", rest, options, OWN, limits)
    if not digits.items or not set(digits.classes) <= set("0123456789"):
        raise DataError(f"colored: {rest} has the classes {', '.join(digits.classes[:8])}; expected the digits 0 to 9.")
    agree = number_of("colored", options, "agree", "0.9", 0, 1)
    noise = number_of("colored", options, "noise", "0.25", 0, 1)
    draws = np.random.default_rng((seed_of("colored", options), 0)).random((len(digits), 2))
    large = np.array([int(digits.classes[label]) >= 5 for label in digits.labels])
    labels = large ^ (draws[:, 0] < noise)
    green = labels ^ (draws[:, 1] >= agree)
    name = f"+{100 * agree:g}%" if agree >= 0.5 else f"-{100 - 100 * agree:g}%"
    items = []
    for row in rows_of_part("colored", len(digits), options):
        item = digits.items[row]
        source = ColoredSource(item.source, GREEN if green[row] else RED)
        items.append(replace(item, label=int(labels[row]), source=source, domain=name))
    return Dataset("", CLASSES, items, digits.skipped)
