"""`torchvision:NAME?split=train`: a classification set of torchvision, downloaded once into the home folder."""

import inspect
import threading
from typing import Any

import numpy as np

from studio.core.errors import DataError, HubError, nearest
from studio.core.home import Home
from studio.data.files.limits import Limits
from studio.data.files.row_source import RowSource
from studio.data.items import Dataset, Item

OURS = {"root", "download", "transform", "target_transform", "transforms", "loader"}  # not for a spec to set
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
    except (TypeError, ValueError) as error:
        raise DataError(f"torchvision:{rest} was not made with {options or 'no options'}: {error}") from error
    except Exception as error:
        raise HubError(
            f"torchvision:{rest} is not in the home folder and can't be downloaded here ({str(error)[:160]}). "
            "Data that is always here: builtin:digits, builtin:glyphs."
        ) from error
    labels = _labels(rest, rows)
    names = [str(name) for name in getattr(rows, "classes", [])] or [str(i) for i in range(1 + int(labels.max()))]
    lock = threading.Lock()
    items = [Item(f"{rest}[{i}]", int(label), RowSource(rows, i, _image, lock)) for i, label in enumerate(labels)]
    return Dataset("", names, items)


def _arguments(cls: type, name: str, options: dict[str, str]) -> dict[str, Any]:
    """`split` chooses train or test, whatever the set calls it; other options go to it as they are."""
    accepted = _accepted(cls)
    arguments: dict[str, Any] = {}
    if "root" in accepted:
        arguments["root"] = str(Home.find().root / "torchvision")
    if "download" in accepted:
        arguments["download"] = True
    for option, value in options.items():
        if option == "split" and value in ("train", "test") and "train" in accepted and "split" not in accepted:
            arguments["train"] = value == "train"
        elif option in accepted - OURS:
            arguments[option] = {"true": True, "false": False}.get(value, int(value) if value.isdigit() else value)
        else:
            known = accepted - OURS | {"split"}
            raise DataError(f"torchvision:{name} has no option {option!r}.{nearest(option, known)}")
    return arguments


def _accepted(cls: type) -> set[str]:
    """The arguments a set takes, with those of its base where it passes them on."""
    accepted: set[str] = set()
    for base in cls.__mro__:
        parameters = inspect.signature(base.__init__).parameters.values()
        accepted |= {parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD}
        if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters):
            break
    return accepted - {"self"}


def _labels(name: str, rows: Any) -> np.ndarray:
    """int64 [N], from where the set keeps them, or else by going through it once."""
    for attribute in ("targets", "labels", "_labels", "y"):
        labels = getattr(rows, attribute, None)
        if labels is not None and len(labels) == len(rows) and np.asarray(labels).dtype.kind in "iu":
            return np.asarray(labels).astype(np.int64).reshape(len(rows))
    try:
        return np.array([int(rows[i][1]) for i in range(len(rows))], np.int64)
    except (TypeError, ValueError, IndexError) as error:
        raise DataError(f"torchvision:{name} has no single class for each image.") from error


def _image(row: Any) -> Any:
    return row[0]
