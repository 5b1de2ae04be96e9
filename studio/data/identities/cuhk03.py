"""CUHK03: its file or images extracted from it, divided by the new protocol's lists or drawn as the first has it."""

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from studio.core.errors import DataError
from studio.data.files.annotation_files import read_bytes
from studio.data.files.layout import Entry
from studio.data.files.limits import Limits
from studio.data.files.zip_paths import AnyPath, source_of
from studio.data.identities.cuhk03_file import FILE, stored_images
from studio.data.identities.published import Reading, counted, images_below
from studio.data.items import ImageSource

NAME = re.compile(r"(\d+)_(\d+)_(\d+)_\d+")  # pair of cameras, person, camera, number
EXAMPLE = "images_detected/1_001_1_01.png"
COUNTS = {
    "detected": {"train": (7_365, 767), "query": (1_400, 700), "gallery": (5_332, 700)},
    "labeled": {"train": (7_368, 767), "query": (1_400, 700), "gallery": (5_328, 700)},
}
DRAWS = "The first protocol draws 100 persons 20 times: eval.test_identities=100, eval.splits=20, eval.single_shot=10."


def read_cuhk03(root: AnyPath, boxes: str, protocol: str, limits: Limits) -> Reading:
    """`boxes`: detected or labeled; `protocol`: new (767 persons to learn, 700 to score; Zhong et al. 2017) or classic.

    Raises DataError where the images, or the lists of the new protocol, are missing or do not fit together.
    """
    for given, known in ((boxes, ("detected", "labeled")), (protocol, ("new", "classic"))):
        if given not in known:
            raise DataError(f"reid: {given!r} is neither {known[0]} nor {known[1]}, as ?layout=cuhk03 has them.")
    folder, images = f"images_{boxes}", _images(root, boxes)
    odd = next((name for name in images if NAME.fullmatch(name) is None), None)
    if odd is not None:
        raise DataError(f"{root / folder}: {odd} is not like 1_001_1_01 (pair of cameras, person, camera, number).")
    if protocol == "classic":
        return Reading([_entry(name, images, folder, None) for name in images], [DRAWS])
    splits = _lists(root / f"cuhk03_new_protocol_config_{boxes}.mat", limits)
    absent = [name for _, name in splits if name not in images]
    entries = [_entry(name, images, folder, split) for split, name in splits if name in images]
    if not entries:
        raise DataError(f"{root}: none of the images that the new protocol names is in {folder}.")
    remarks = [f"{len(absent)} images that the protocol names are missing, such as {absent[0]}."] if absent else []
    return Reading(entries, remarks + counted(entries, COUNTS[boxes], "CUHK03"))


def _images(root: AnyPath, boxes: str) -> dict[str, ImageSource]:
    """The images by name, from the extracted folder where it is there, else from the file. Raises DataError."""
    folder = root / f"images_{boxes}"
    if folder.is_dir() and (extracted := {path.stem: source_of(path) for path, _ in images_below(folder)}):
        return extracted
    file = root / FILE
    if not file.is_file():
        raise DataError(
            f"{root}: {folder.name} holds no images, and there is no {FILE}; expected CUHK03's file, or its images "
            f"extracted as {EXAMPLE}."
        )
    if not isinstance(file, Path):
        raise DataError(f"{file}: this file is read from a folder only. Unpack the zip first.")
    return {**stored_images(file, boxes)}


def _entry(name: str, images: Mapping[str, ImageSource], folder: str, split: str | None) -> Entry:
    pair, person, camera = NAME.fullmatch(name).groups()  # type: ignore[union-attr]
    return Entry(f"{folder}/{name}.png", f"{int(pair)}_{int(person):03d}", images[name], split, camera=camera)


def _lists(file: AnyPath, limits: Limits) -> list[tuple[str, str]]:
    """(split, stem) of each image of the new protocol; its indices count from 1."""
    from scipy.io import loadmat

    if not file.is_file():
        raise DataError(
            f"{file.name} is missing beside the images; it comes with the new protocol (Zhong et al. 2017). Or write "
            "?protocol=classic."
        )
    try:
        arrays = loadmat(io.BytesIO(read_bytes(file, limits)))
        names = [_text(cell) for cell in arrays["filelist"].reshape(-1)]
        rows = {split: np.asarray(arrays[f"{split}_idx"], np.int64).reshape(-1) - 1 for split in COUNTS["detected"]}
        return [(split, names[row].rpartition(".")[0] or names[row]) for split, given in rows.items() for row in given]
    except (KeyError, IndexError, ValueError, TypeError, NotImplementedError) as error:
        raise DataError(f"{file.name} is not the new protocol's file ({error}).") from error


def _text(cell: Any) -> str:
    while isinstance(cell, np.ndarray):
        cell = cell.reshape(-1)[0]
    return str(cell)
