"""`npz:FILE?x=X&y=Y`: images or feature vectors as NumPy arrays. Object arrays would be pickles and are refused."""

from pathlib import Path

import numpy as np

from studio.core.errors import DataError
from studio.data.files.archives import Archive
from studio.data.files.arrays import OPTIONS as OPTIONS
from studio.data.files.arrays import choose, from_arrays
from studio.data.files.limits import Limits
from studio.data.items import Dataset, FeatureSet


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset | FeatureSet:
    """Raises DataError for a missing file or array, pickled content, or arrays that don't fit."""
    path = Path(rest).expanduser()
    Archive(path, limits)  # an .npz is a zip: judged as one first
    try:
        with np.load(path, allow_pickle=False) as file:
            x, y = choose(list(file.files), options, path)
            return from_arrays(path, _array(file, x, path), None if y is None else _array(file, y, path))
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{path.name} is no readable .npz file ({error}).") from error


def _array(file: np.lib.npyio.NpzFile, name: str, path: Path) -> np.ndarray:
    try:
        return np.asarray(file[name])
    except ValueError as error:
        if "pickle" not in str(error) and "Object" not in str(error):
            raise
        raise DataError(
            f"{path.name}: the array {name!r} holds pickled objects, which are refused. Save plain numbers or texts."
        ) from error
