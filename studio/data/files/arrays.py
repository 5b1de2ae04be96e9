"""From arrays in a file to a dataset: images or feature vectors, with labels or without."""

from pathlib import Path

import numpy as np

from studio.core.errors import DataError, nearest
from studio.data.items import ArraySource, Dataset, FeatureSet, Item

OPTIONS = {"x": "name of the array of images or features", "y": "name of the array of labels"}


def choose(names: list[str], options: dict[str, str], path: Path) -> tuple[str, str | None]:
    """The names of x and y: as asked, else `x` and (if it is there) `y`. Raises DataError for one that is not there."""
    x, y = options.get("x", "x"), options.get("y", "y" if "y" in names else None)
    for option, name in (("x", x), ("y", y)):
        if name is not None and name not in names:
            known = f" It has: {', '.join(names)}." if option not in options else nearest(name, names)
            raise DataError(f"{path.name} has no array {name!r}.{known} Name it, as in {path.name}?x=NAME&y=NAME.")
    return x, y


def from_arrays(path: Path, x: np.ndarray, y: np.ndarray | None) -> Dataset | FeatureSet:
    """Images from uint8 [N, H, W] or [N, H, W, 1 or 3], features from numbers [N, D]; labels [N] give the classes.

    Raises DataError for arrays of another shape or kind.
    """
    classes, labels = _classes(path, y, x)
    if x.dtype == np.uint8 and x.ndim == 4 and x.shape[-1] == 1:
        x = x[..., 0]
    if x.dtype == np.uint8 and 0 not in x.shape and (x.ndim == 3 or (x.ndim == 4 and x.shape[-1] == 3)):
        items = [Item(f"{path.stem}[{i}]", int(labels[i]), ArraySource(x[i])) for i in range(len(x))]
        return Dataset("", classes, items)
    if x.ndim == 2 and 0 not in x.shape and (np.issubdtype(x.dtype, np.integer) or np.issubdtype(x.dtype, np.floating)):
        with np.errstate(over="ignore"):  # what float32 can't hold becomes infinite, and is counted by the check
            return FeatureSet("", classes, np.ascontiguousarray(x, dtype=np.float32), labels)
    raise DataError(
        f"{path.name}: x is {x.dtype} of shape {list(x.shape)}; expected features [n, d], "
        "or uint8 images [n, h, w] or [n, h, w, 3] with values 0..255."
    )


def _classes(path: Path, y: np.ndarray | None, x: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Class names and labels int64 [N]; numbers are named as they are written, in their order."""
    count = len(x) if x.ndim else 0
    if y is None:
        return [], np.full(count, -1, np.int64)
    if y.size != count:
        turned = " x seems to be turned: it must have one row an image." if y.size in x.shape[1:] else ""
        raise DataError(f"{path.name}: x has {count} rows, but there are {y.size} labels.{turned}")
    if y.dtype.kind not in "iufUSb":
        raise DataError(f"{path.name}: the labels are {y.dtype}; expected numbers or texts.")
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise DataError(f"{path.name}: {int((~np.isfinite(y)).sum())} labels are NaN or infinite.")
    values, labels = np.unique(y.reshape(-1), return_inverse=True)
    whole = values.dtype.kind == "f" and np.all(values == np.round(values))
    texts = values.astype(np.int64) if whole else values.astype(str) if values.dtype.kind == "S" else values
    return [str(value).strip() for value in texts.tolist()], labels.astype(np.int64)
