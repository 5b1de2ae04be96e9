"""What the tests of detectors share. They import each other by name, wherever pytest starts."""

import sys
from pathlib import Path

import pytest

from studio.data import open_data
from studio.data.pixels import decode
from studio.data.preprocess import Preprocess

sys.path.insert(0, str(Path(__file__).parent))

SIZE = 96


@pytest.fixture(scope="module")
def scenes():
    """Eight scenes of two classes as pixels, boxes, preprocess."""
    data = open_data(f"builtin:scenes?images=8&size={SIZE}&classes=2&most=3")
    preprocess = Preprocess(SIZE, squash=True)
    pixels, kept = decode(data, preprocess)
    return pixels, [item.boxes for item in kept.items], preprocess
