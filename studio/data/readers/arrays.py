"""`npz:FILE?x=X&y=Y` and `mat:FILE?x=fts&y=labels`: images or feature vectors as arrays.

uint8 of three or four dimensions are images, numbers of two dimensions are features. Object arrays
would be pickles and are refused.
"""

from pathlib import Path

import numpy as np

from studio.core.errors import DataError, nearest
from studio.data.items import ArraySource, Dataset, FeatureSet, Item


def read(rest: str, options: dict[str, str]) -> Dataset | FeatureSet:
    """Raises DataError for a missing file or key, pickled content, or arrays that don't fit."""
    path = Path(rest).expanduser()
    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    arrays = _mat(path) if path.suffix.lower() == ".mat" else _npz(path)
    x = _pick(arrays, options.get("x", "x"), path, "x")
    y = _pick(arrays, options["y"], path, "y").reshape(-1) if "y" in options or "y" in arrays else None
    if "y" not in options and "y" in arrays:
        y = np.asarray(arrays["y"]).reshape(-1)
    if y is not None and len(y) != len(x):
        raise DataError(f"{path.name}: {len(x)} rows of x, but {len(y)} labels.")
    classes, labels = _classes(y, len(x))
    if x.dtype == np.uint8 and (x.ndim == 3 or (x.ndim == 4 and x.shape[-1] == 3)):
        items = [Item(f"{path.stem}[{i}]", int(labels[i]), ArraySource(x[i])) for i in range(len(x))]
        return Dataset("", classes, items)
    if x.ndim == 2 and np.issubdtype(x.dtype, np.number):
        return FeatureSet("", classes, np.ascontiguousarray(x, dtype=np.float32), labels)
    raise DataError(
        f"{path.name}: x is {x.dtype} of shape {x.shape}; expected features [n, d], or uint8 images [n, h, w] "
        "or [n, h, w, 3]."
    )


def _npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except ValueError as error:
        raise DataError(f"{path.name} holds pickled objects, which are refused. Save plain number arrays.") from error
    except Exception as error:
        raise DataError(f"{path.name} is no readable .npz file ({error}).") from error


def _mat(path: Path) -> dict[str, np.ndarray]:
    from scipy.io import loadmat

    try:
        found = loadmat(path)
    except Exception as error:
        raise DataError(f"{path.name} is no readable .mat file up to version 7 ({error}).") from error
    arrays = {name: value for name, value in found.items() if isinstance(value, np.ndarray) and value.dtype != object}
    return {name: value.toarray() if hasattr(value, "toarray") else value for name, value in arrays.items()}


def _pick(arrays: dict[str, np.ndarray], name: str, path: Path, what: str) -> np.ndarray:
    if name not in arrays:
        raise DataError(
            f"{path.name} has no array {name!r}.{nearest(name, arrays)} Name it, as in {path.name}?{what}=NAME."
        )
    return np.asarray(arrays[name])


def _classes(y: np.ndarray | None, count: int) -> tuple[list[str], np.ndarray]:
    if y is None:
        return [], np.full(count, -1, np.int64)
    values, labels = np.unique(y, return_inverse=True)
    whole = np.issubdtype(values.dtype, np.floating) and np.all(values == np.round(values))
    return [str(int(value)) if whole else str(value) for value in values], labels.astype(np.int64)
