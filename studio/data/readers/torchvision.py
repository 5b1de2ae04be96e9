"""`torchvision:NAME?split=train`: a classification set of torchvision, downloaded once into the home folder."""

import inspect
import threading
from typing import Any

import numpy as np

from studio.core.errors import DataError, HubError, nearest
from studio.core.home import Home
from studio.data.items import Dataset, Item
from studio.data.limits import Limits
from studio.data.rows import RowSource

OPTIONS = None  # the options are the arguments of the set, see its page in torchvision's documentation


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError for an unknown set or option, HubError where it is not here and can't be downloaded."""
    from torchvision import datasets

    known = [name for name in datasets.__all__ if inspect.isclass(getattr(datasets, name))]
    if rest not in known:
        raise DataError(f"torchvision has no dataset {rest!r}.{nearest(rest, known)}")
    cls = getattr(datasets, rest)
    arguments = _arguments(cls, rest, options)
    try:
        rows = cls(**arguments)
        labels = _labels(rows)
    except Exception as error:
        raise HubError(
            f"torchvision:{rest} is not in the home folder and can't be downloaded here ({str(error)[:160]}). "
            "Data that is always here: builtin:digits, builtin:glyphs."
        ) from error
    names = [str(name) for name in getattr(rows, "classes", [])] or [str(i) for i in range(1 + int(labels.max()))]
    lock = threading.Lock()
    items = [Item(f"{rest}[{i}]", int(label), RowSource(rows, i, _picture, lock)) for i, label in enumerate(labels)]
    return Dataset("", names, items)


def _arguments(cls: type, name: str, options: dict[str, str]) -> dict[str, Any]:
    """`split` chooses train or test, whatever the set calls it; other options go to it as they are."""
    accepted = {
        key: value
        for base in cls.__mro__
        for key, value in inspect.signature(base.__init__).parameters.items()
        if base.__module__.startswith("torchvision")
    }
    arguments: dict[str, Any] = {}
    if "root" in accepted:
        arguments["root"] = str(Home.find().root / "torchvision")
    if "download" in accepted:
        arguments["download"] = True
    for option, value in options.items():
        if option == "split" and value in ("train", "test") and "train" in accepted:
            arguments["train"] = value == "train"
        elif option in accepted and option not in ("root", "download", "transform", "target_transform", "loader"):
            arguments[option] = int(value) if value.isdigit() else value
        else:
            raise DataError(f"torchvision:{name} has no option {option!r}.{nearest(option, accepted)}")
    return arguments


def _labels(rows: Any) -> np.ndarray:
    """int64 [N], from where the set keeps them, or else by going through it once."""
    for name in ("targets", "labels", "_labels", "y"):
        found = getattr(rows, name, None)
        if found is not None and len(found) == len(rows) and np.asarray(found).ndim == 1:
            return np.asarray(found).astype(np.int64)
    return np.array([int(rows[i][1]) for i in range(len(rows))], np.int64)


def _picture(row: Any) -> Any:
    return row[0]
