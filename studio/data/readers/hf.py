"""`hf:ORG/NAME[@revision]?split=train`: an image classification set of the Hugging Face Hub."""

import re
import threading
from typing import Any

from studio.core.errors import DataError, HubError
from studio.data.files.limits import Limits
from studio.data.files.row_source import RowSource
from studio.data.items import Dataset, Item

OPTIONS = {"split": "default: train", "x": "the column of images", "y": "the column of labels"}
LABELS = ("label", "labels", "fine_label")


def read(rest: str, options: dict[str, str], limits: Limits) -> Dataset:
    """Raises DataError for a malformed name or a set without images, HubError where the hub can't be reached."""
    name, _, revision = rest.partition("@")
    if not re.fullmatch(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+", name):
        raise DataError(f"hf:{rest}: expected hf:ORG/NAME or hf:ORG/NAME@REVISION.")
    try:
        import datasets
    except ImportError as error:
        raise HubError('hf: data needs one more package: pip install "datasets>=4"') from error
    if int(datasets.__version__.split(".")[0]) < 4:  # older ones could run code that comes with the data
        raise HubError(f'hf: data needs datasets 4 or newer, found {datasets.__version__}: pip install "datasets>=4"')
    try:
        rows = datasets.load_dataset(
            name, revision=revision or None, split=options.get("split", "train"), token=limits.rights.hub_token
        )
    except Exception as error:
        raise HubError(
            f"hf:{rest} can't be had ({str(error)[:160]}). Data that is always here: builtin:digits, builtin:glyphs."
        ) from error
    image, label = _columns(rest, rows, options, datasets.Image)
    names, labels = _labels(rows, label)
    rows = rows.cast_column(image, datasets.Image(decode=False))  # decoded by the one door instead
    lock = threading.Lock()
    items = [
        Item(f"{name}[{index}]", label_index, RowSource(rows, index, lambda row: _content(row[image]), lock))
        for index, label_index in enumerate(labels)
    ]
    return Dataset("", names, items)


def _columns(rest: str, rows: Any, options: dict[str, str], kind: type) -> tuple[str, str]:
    image = options.get("x") or next((key for key, column in rows.features.items() if isinstance(column, kind)), None)
    label = options.get("y") or next((key for key in LABELS if key in rows.features), None)
    if image not in rows.features or label not in rows.features:
        raise DataError(f"hf:{rest} has the columns {', '.join(rows.features)}; name image and label by ?x=...&y=...")
    return image, label


def _labels(rows: Any, label: str) -> tuple[list[str], list[int]]:
    """Class names, and the class index of each row (-1: none)."""
    values = rows[label][:]
    names = getattr(rows.features[label], "names", None)
    if names is not None:
        return [str(name) for name in names], [int(value) for value in values]
    known = sorted({value for value in values if value is not None})
    index_of = {value: index for index, value in enumerate(known)}
    return [str(value) for value in known], [index_of.get(value, -1) for value in values]


def _content(cell: dict[str, Any]) -> bytes:
    if cell["bytes"] is not None:
        return cell["bytes"]
    with open(cell["path"], "rb") as file:
        return file.read()
