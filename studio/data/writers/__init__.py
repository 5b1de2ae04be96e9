"""Data sets written for other tools, one file a format: the opposite of `readers/`, which read each of them back.

A writer says which truths it can write (`TRUTHS`) and has `write(dataset, out)`. May use studio.data and below.
"""

import importlib
import pkgutil
from pathlib import Path
from typing import Any

from studio.core.errors import UsageError, nearest
from studio.data.items import Dataset
from studio.store.outputs import whole_folder

NOT_FORMATS = ("copied_images",)  # what several of them use


def formats(truth: str | None = None) -> list[str]:
    """The formats there are, or those that can hold this truth (labels, boxes, masks)."""
    names = [module.name for module in pkgutil.iter_modules(__path__) if module.name not in NOT_FORMATS]
    return [name for name in names if truth is None or truth in _writer(name).TRUTHS]


def write(dataset: Dataset, kind: str, folder: Path) -> list[str]:
    """Writes a data set into `folder` and returns the files, by their path in it; all of them or none.

    Raises UsageError for a format that is not there or can't hold its truth, or where a file would be written over.
    """
    if kind not in formats():
        raise UsageError(f"format: there is no format {kind!r}.{nearest(kind, formats())}")
    if kind not in formats(dataset.truth):
        fitting = ", ".join(formats(dataset.truth)) or "none"
        raise UsageError(f"format: {kind} can't hold {dataset.truth}. Formats that can: {fitting}.")
    with whole_folder(folder) as made:
        _writer(kind).write(dataset, made)
        return sorted(path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file())


def _writer(name: str) -> Any:
    return importlib.import_module(f"{__name__}.{name}")
