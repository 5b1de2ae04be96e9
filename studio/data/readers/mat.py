"""`mat:FILE?x=fts&y=labels`: feature vectors or images in a MATLAB file (up to version 7.2)."""

from pathlib import Path

import numpy as np

from studio.core.errors import DataError
from studio.data.files.arrays import OPTIONS as OPTIONS
from studio.data.files.arrays import choose, from_arrays
from studio.data.files.limits import Limits
from studio.data.files.no_such import no_such
from studio.data.items import Dataset, FeatureSet


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset | FeatureSet:
    """Raises DataError for a missing file or array, or arrays that don't fit."""
    from scipy.io import loadmat, whosmat

    path = Path(rest).expanduser()
    if not path.is_file():
        raise no_such(path)
    try:
        x, y = choose([name for name, _, _ in whosmat(path)], options, path)
        arrays = loadmat(path, variable_names=[name for name in (x, y) if name])
    except DataError:
        raise
    except NotImplementedError as error:
        raise DataError(f"{path.name} is a MATLAB 7.3 file. Save it again with save(..., '-v7').") from error
    except Exception as error:
        raise DataError(f"{path.name} is no readable .mat file ({error}).") from error
    return from_arrays(path, _dense(arrays[x]), _dense(arrays[y]) if y else None)


def _dense(value: object) -> np.ndarray:
    """A dense array; MATLAB's cells of texts [n, 1], each an array of one text, as texts [n]."""
    dense = np.asarray(value.toarray() if hasattr(value, "toarray") else value)
    if dense.dtype == object and all(np.size(cell) == 1 and np.asarray(cell).dtype.kind == "U" for cell in dense.flat):
        return np.array([np.asarray(cell).item() for cell in dense.flat])
    return dense
