"""CUHK03 as it is handed out: `cuhk-03.mat`, a MATLAB 7.3 file (HDF5) that holds all images."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from studio.core.errors import DataError
from studio.data.files.row_source import RowSource

FILE = "cuhk-03.mat"
PER_CAMERA = 5  # columns of a person's row that are of the first camera of a pair; the rest are of the second
LARGEST = 10_000_000  # numbers of an image


def stored_images(path: Path, boxes: str) -> dict[str, RowSource]:
    """The images in `detected` or `labeled` boxes, by the names that the new protocol gives them: 1_001_1_01.

    Raises DataError where h5py is not installed, or the file is not CUHK03's.
    """
    try:
        import h5py
    except ImportError as error:
        raise DataError(
            f"{path.name} is a MATLAB 7.3 file, which needs one more package: pip install h5py. Or extract its images "
            f"to images_{boxes}, as 1_001_1_01.png."
        ) from error
    images: dict[str, RowSource] = {}
    lock = threading.Lock()
    try:
        file = h5py.File(path, "r")
        if not isinstance(file.get(boxes, getlink=True), h5py.HardLink):
            raise DataError(f"{path.name} has no cells {boxes!r}, as CUHK03's file has.")
        for pair, place in enumerate(_numbers(file[boxes]).reshape(-1), start=1):
            for person, row in enumerate(_numbers(file[place]).T, start=1):  # [persons, images]
                for number, reference in enumerate(row, start=1):
                    if file[reference].ndim == 3:  # an empty cell has two axes
                        name = f"{pair}_{person:03d}_{1 if number <= PER_CAMERA else 2}_{number:02d}"
                        images[name] = RowSource(file, reference, _image, lock)
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path.name} is not CUHK03's file ({error}).") from error
    return images


def _image(cell: Any) -> Image.Image:
    """MATLAB's axes come the other way round: uint8 [3, W, H]."""
    if cell.shape[0] != 3 or cell.dtype != np.uint8 or cell.size > LARGEST:
        raise DataError(f"cuhk-03.mat: expected an image, uint8 [3, W, H]; found {cell.dtype} {list(cell.shape)}.")
    return Image.fromarray(np.ascontiguousarray(_numbers(cell).transpose(2, 1, 0)))


def _numbers(cell: Any) -> np.ndarray:
    """What a cell holds. Raises DataError where it lies outside of the file: HDF5 may name others of the machine."""
    if cell.external or cell.is_virtual or cell.size > LARGEST:
        raise DataError("cuhk-03.mat: expected numbers that lie in the file itself.")
    return np.asarray(cell[()])
