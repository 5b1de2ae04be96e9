"""Saving the images of a data spec as a named version in the store, and bringing one back.

A version is of images with any truth. What a version can't hold is said: things that overlap within a mask become its
classes alone.
"""

import hashlib
import io
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from studio.core.errors import DataError
from studio.core.home import Home
from studio.data.boxes import Boxes
from studio.data.checks.check import check_data
from studio.data.checks.left_out import known_problems, left_out
from studio.data.files.images import BadImage
from studio.data.files.limits import limits_of
from studio.data.files.prefetch import in_order
from studio.data.items import Dataset, Item
from studio.store import Store
from studio.store.files import TEMP, clear_errors, write_synced
from studio.store.uploads import UploadBounds, room_for
from studio.store.versions import Entry, Facts, keep, require_free

WORKERS = 4
AHEAD = 32  # images that are read before their turn


@dataclass(frozen=True)
class BlobSource:
    """An image of a version: a blob, which must hold what its name says."""

    path: Path

    def read(self) -> bytes:
        """Raises OSError where the blob is missing or damaged."""
        data = self.path.read_bytes()
        if hashlib.sha256(data).hexdigest() != self.path.name:
            raise OSError("its content is not what the version saved")
        return data

    def head(self, count: int) -> tuple[bytes, int]:
        with open(self.path, "rb") as file:
            return file.read(count), os.fstat(file.fileno()).st_size

    def digest(self) -> str:
        return self.path.name


@dataclass(frozen=True)
class BlobMask:
    """A class map of a version."""

    source: BlobSource
    name: str

    def read(self) -> np.ndarray:
        """Class map uint8 [H, W]. Raises BadImage for a missing or damaged blob."""
        try:
            return np.asarray(Image.open(io.BytesIO(self.source.read())), np.uint8)
        except OSError as error:
            raise BadImage(self.name, f"its mask can't be read ({error})") from error


def save_version(
    name: str,
    spec: str,
    home: Home | None = None,
    bounds: UploadBounds | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    without: Sequence[str] = (),
    report: Mapping[str, Any] | None = None,
) -> Facts:
    """Keeps the images of `spec`, with what is true of each, as version `name`; images of other versions are shared.

    `without` leaves out images with these problems (`studio.data.checks.left_out`), all of them for `["all"]`, by the
    `report` of a check where one was made. Files that can't be read at all are left out in any case, as they are from
    every run. Raises UsageError for a name that is taken or none and for an unknown problem, DataError for data that
    can't be read, hold feature vectors, or take more room than there is.
    """
    from studio.data.specs import open_data  # which reads versions too

    home, bounds = home or Home.find(), bounds or UploadBounds()
    require_free(home, name)
    problems = known_problems(without)
    dataset = open_data(spec, limits_of(home))
    if not isinstance(dataset, Dataset):
        raise DataError(f"{spec} holds feature vectors; a version is of images.")
    if problems and report is None:
        report = check_data(dataset, spec).to_dict()
    dropped = left_out(dataset, report, problems) if report else {}
    dataset = dataset.without(dropped)
    staging = _staging(home)
    try:
        entries = list(_staged(dataset, staging, home, bounds, on_progress))
        if not entries:
            raise DataError(f"{spec}: no image can be read." if not dropped else f"{spec}: no image is left.")
        store = Store(home)
        with store.changing():  # `gc` looks at no blob meanwhile
            store.blobs.adopt(staging)
            return keep(home, name, spec, dataset.classes, list(dataset.splits), entries, Counter(dropped.values()))
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def dataset_of(facts: Facts, entries: Sequence[Entry], home: Home) -> Dataset:
    """The images of a version, in its classes and splits."""
    index = {name: number for number, name in enumerate(facts.classes)}
    items = [_item(entry, index, home) for entry in entries]
    splits: dict[str, list[int]] = {name: [] for name in facts.splits}
    for row, entry in enumerate(entries):
        if entry.split is not None:
            splits[entry.split].append(row)
    return Dataset("", facts.classes, items, splits=splits)


def _item(entry: Entry, index: dict[str, int], home: Home) -> Item:
    truth, boxes, mask, pair = entry.truth, None, None, None
    if "boxes" in truth:
        rows = truth["boxes"]
        ignored = np.array([row[5] for row in rows], bool)
        boxes = Boxes.of([row[1:5] for row in rows], [index[row[0]] for row in rows], ignored)
    if "mask" in truth:
        mask = BlobMask(BlobSource(home.blobs / truth["mask"]), entry.name)
    if "pair" in truth:
        pair = BlobSource(home.blobs / truth["pair"])
    return Item(
        entry.name, index[truth["label"]] if "label" in truth else -1, BlobSource(home.blobs / entry.image),
        truth.get("domain"), boxes, mask, truth.get("camera"), truth.get("frame"), pair,
    )  # fmt: skip


def _staging(home: Home) -> Path:
    """A folder for images that no version names yet, which `gc` removes after a kill."""
    uploads = home.seen_by(None).uploads
    with clear_errors(home.root):
        uploads.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=TEMP, dir=uploads))


def _staged(
    dataset: Dataset, staging: Path, home: Home, bounds: UploadBounds, on_progress: Callable[[int, int], None]
) -> Iterator[Entry]:
    """An entry for each image, whose bytes go to `staging` where no blob has them. Raises DataError beyond the room."""
    split_of = {row: name for name, rows in dataset.splits.items() for row in rows}
    left, seen = room_for(home, bounds), set[str]()
    blobs = _Staging(staging, home)

    def stage(row: int) -> tuple[Entry, dict[str, int]] | None:
        """An image's entry, and the bytes of each of its blobs."""
        item = dataset.items[row]
        try:
            raw, truth = _bytes_of(item.source.read()), _truth_of(item, dataset.classes)
        except (BadImage, OSError):  # left out, as every run does
            return None
        image, sizes = blobs.put(raw), dict[str, int]()
        sizes[image] = len(raw)
        for key, value in truth.items():
            if isinstance(value, bytes):
                truth[key] = blobs.put(value)
                sizes[truth[key]] = len(value)
        return Entry(item.name, image, sum(sizes.values()), split_of.get(row), truth), sizes

    with ThreadPoolExecutor(WORKERS) as pool, clear_errors(staging):
        for done, staged in enumerate(in_order(pool, stage, range(len(dataset)), ahead=AHEAD), start=1):
            on_progress(done, len(dataset))
            if staged is None:
                continue
            entry, sizes = staged
            left -= sum(size for blob, size in sizes.items() if blob not in seen)
            seen |= sizes.keys()
            if left < 0:
                raise DataError("There is not enough room for this version. Delete versions or uploads first.")
            yield entry


@dataclass(frozen=True)
class _Staging:
    """Files that become blobs, by content; what is a blob already is not written again."""

    folder: Path
    home: Home

    def put(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        if not (self.home.blobs / digest).is_file():
            with suppress(FileExistsError):  # another image has the same content
                write_synced(self.folder / digest, data)
        return digest


def _bytes_of(raw: bytes | np.ndarray) -> bytes:
    """A file as it is; pixels as a PNG, which loses nothing."""
    if isinstance(raw, bytes):
        return raw
    file = io.BytesIO()
    Image.fromarray(raw).save(file, "PNG")
    return file.getvalue()


def _truth_of(item: Item, classes: Sequence[str]) -> dict[str, Any]:
    """As `Entry.truth` has it, with bytes for what becomes a blob."""
    truth: dict[str, Any] = {"label": classes[item.label]} if item.label >= 0 else {}
    if item.boxes is not None:
        boxes = item.boxes
        rows = zip(boxes.labels.tolist(), boxes.xyxy.tolist(), boxes.ignore.tolist(), strict=True)
        truth["boxes"] = [[classes[label], *corners, ignore] for label, corners, ignore in rows]
    if item.mask is not None:
        truth["mask"] = _bytes_of(item.mask.read())
    if item.pair is not None:
        truth["pair"] = _bytes_of(item.pair.read())
    others = {"domain": item.domain, "camera": item.camera, "frame": item.frame}
    return truth | {key: value for key, value in others.items() if value is not None}
