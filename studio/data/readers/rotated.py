"""`rotated:IMAGES?angle=15&part=2/6`: images turned by an angle, each angle a domain.

    rotated:npz:mnist.npz?angle=0&part=1/6,rotated:npz:mnist.npz?angle=15&part=2/6,...

Ghifary et al. 2015, section 5 (RotatedMNIST): 0, 15, 30, 45, 60 and 75 degrees, here counterclockwise.
"""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from studio.data.files.images import read_image
from studio.data.files.limits import Limits
from studio.data.items import Dataset, ImageSource
from studio.data.made_of import SHARED, number_of, originals, rows_of_part

OPTIONS = None  # and those of the images
OWN = {"angle": "degrees counterclockwise", **SHARED}


@dataclass(frozen=True)
class RotatedSource:
    """An image turned about its centre; what comes in at the corners is black."""

    original: ImageSource
    angle: float

    def read(self) -> np.ndarray:
        return np.asarray(read_image(self.original).rotate(self.angle, Image.Resampling.BILINEAR))

    def digest(self) -> str:
        return hashlib.sha256(f"{self.original.digest()} turned by {self.angle!r}".encode()).hexdigest()


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError for an option out of range."""
    upright = originals("rotated", rest, options, OWN, limits)
    angle = number_of("rotated", options, "angle", "0", -360, 360)
    rows = rows_of_part("rotated", len(upright), options)
    turned = [
        replace(item, source=RotatedSource(item.source, angle), domain=f"{angle:g} degrees")
        for item in upright.subset(rows).items
    ]
    return Dataset("", upright.classes, turned, upright.skipped)
