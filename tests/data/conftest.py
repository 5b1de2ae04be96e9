"""Images made on the spot, for all tests of data."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def image(seed: int = 0, size: tuple[int, int] = (64, 48)) -> Image.Image:
    """A smooth RGB image that no other seed gives."""
    cells = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


@pytest.fixture
def draw() -> Callable[..., Image.Image]:
    return image


@pytest.fixture
def encode() -> Callable[..., bytes]:
    return encoded


@pytest.fixture
def photos() -> Callable[[Path, dict[str, int]], Path]:
    """`photos(root, {"train/cat": 3})` writes that many different JPEGs into each folder; returns `root`."""
    written = 0

    def write(root: Path, counts: dict[str, int]) -> Path:
        nonlocal written
        for folder, count in counts.items():
            (root / folder).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                written += 1
                (root / folder / f"{number}.jpg").write_bytes(encoded(image(written)))
        return root

    return write
