"""CUHK03: images extracted from its file, divided by the lists of the new protocol or drawn as the first one has it."""

import io
import re
from typing import Any

import numpy as np

from studio.core.errors import DataError
from studio.data.files.annotation_files import read_bytes
from studio.data.files.layout import Entry
from studio.data.files.limits import Limits
from studio.data.files.zip_paths import AnyPath, source_of
from studio.data.identities.published import Reading, counted, images_below

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
    folder = root / f"images_{boxes}"
    files = {path.stem: path for path, _ in images_below(folder)} if folder.is_dir() else {}
    if not files:
        raise DataError(f"{root}: images_{boxes} holds no images; expected CUHK03's, extracted as {EXAMPLE}.")
    odd = next((name for name in files if NAME.fullmatch(name) is None), None)
    if odd is not None:
        raise DataError(f"{folder}: {odd} is not like 1_001_1_01 (pair of cameras, person, camera, number).")
    if protocol == "classic":
        return Reading([_entry(path, folder.name, None) for path in files.values()], [DRAWS])
    splits = _lists(root / f"cuhk03_new_protocol_config_{boxes}.mat", limits)
    absent = [name for _, name in splits if name not in files]
    entries = [_entry(files[name], folder.name, split) for split, name in splits if name in files]
    if not entries:
        raise DataError(f"{root}: none of the images that the new protocol names is in images_{boxes}.")
    remarks = [f"{len(absent)} images that the protocol names are missing, such as {absent[0]}."] if absent else []
    return Reading(entries, remarks + counted(entries, COUNTS[boxes], "CUHK03"))


def _entry(path: AnyPath, folder: str, split: str | None) -> Entry:
    pair, person, camera = NAME.fullmatch(path.stem).groups()  # type: ignore[union-attr]
    return Entry(f"{folder}/{path.name}", f"{int(pair)}_{int(person):03d}", source_of(path), split, camera=camera)


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
