"""What a dataset is: labelled images by name, or feature vectors.

An `Item` does not hold an image; it knows where its bytes are. `studio.data.files.images.read_image` is the
one door through which every image comes.
"""

import hashlib
import os
from collections.abc import Container, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from studio.data.boxes import Boxes
from studio.data.masks.class_map import MaskSource, Relabelled


class ImageSource(Protocol):
    """Where the bytes of one image are."""

    def read(self) -> "bytes | np.ndarray":
        """The encoded file, or pixels uint8 [H, W] or [H, W, 3]."""

    def digest(self) -> str:
        """SHA-256 of the content, as hex: the same image has the same digest wherever it lies."""


@dataclass(frozen=True, slots=True)
class FileSource:
    """An image file on disk."""

    path: Path

    def read(self) -> bytes:
        with open(self.path, "rb", buffering=0) as file:
            return file.read()

    def head(self, count: int) -> tuple[bytes, int]:
        """The first bytes, and the size of the whole file."""
        with open(self.path, "rb", buffering=0) as file:
            return file.read(count), os.fstat(file.fileno()).st_size

    def digest(self) -> str:
        return hashlib.sha256(self.read()).hexdigest()


@dataclass(frozen=True, eq=False)
class ArraySource:
    """Pixels in memory, uint8 [H, W] or [H, W, 3]."""

    pixels: np.ndarray

    def read(self) -> np.ndarray:
        return self.pixels

    def digest(self) -> str:
        return hashlib.sha256(repr(self.pixels.shape).encode() + self.pixels.tobytes()).hexdigest()


@dataclass(frozen=True, slots=True)
class Item:
    """One image: a name a person recognises, its class index (-1: no label), its domain if known."""

    name: str
    label: int
    source: ImageSource
    domain: str | None = None
    boxes: Boxes | None = None  # for detection; the label is -1 then
    mask: MaskSource | None = None  # for segmentation; the label is -1 then
    camera: str | None = None  # of individuals: what took it, "" where that is not known; the label says whom it shows
    frame: int | None = None  # of films: its place in the film that its domain names
    pair: ImageSource | None = None  # for translation: the same view in the other look; the label is -1 then

    def relabelled(self, place: list[int]) -> "Item":
        """The same with class i called place[i]."""
        label = place[self.label] if self.label >= 0 else -1
        mask = Relabelled(self.mask, place) if self.mask is not None else None
        if self.boxes is None:
            return replace(self, label=label, mask=mask)
        labels = np.array([place[index] for index in self.boxes.labels.tolist()], np.int64)
        return replace(self, label=label, boxes=replace(self.boxes, labels=labels), mask=mask)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file, or a box of one, that was left out, and why."""

    name: str
    reason: str


@dataclass
class Dataset:
    """Images with labels.

    `splits` maps train/val/test to item indices where the data came divided; otherwise it is empty.
    `skipped` lists every file that was left out, `remarks` what else a person should know of how it was read.
    """

    spec: str
    classes: list[str]
    items: list[Item]
    skipped: list[Skipped] = field(default_factory=list)
    splits: dict[str, list[int]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def labels(self) -> np.ndarray:
        """Class indices int64 [N], -1 where there is no label."""
        return np.array([item.label for item in self.items], dtype=np.int64)

    @property
    def boxed(self) -> bool:
        """Whether its images carry boxes."""
        return bool(self.items) and all(item.boxes is not None for item in self.items)

    @property
    def masked(self) -> bool:
        """Whether its images carry masks."""
        return bool(self.items) and all(item.mask is not None for item in self.items)

    @property
    def identified(self) -> bool:
        """Whether its classes are individuals, seen by cameras."""
        return bool(self.items) and all(item.camera is not None for item in self.items)

    @property
    def paired(self) -> bool:
        """Whether each of its images is there in another look too."""
        return bool(self.items) and all(item.pair is not None for item in self.items)

    @property
    def truth(self) -> str:
        """What its items carry beside the image: identities, pairs, masks, boxes, labels, or none."""
        if self.identified:
            return "identities"
        if self.paired:
            return "pairs"
        if self.items and not self.classes and not self.masked and not self.boxed:
            return "none"
        return "masks" if self.masked else "boxes" if self.boxed else "labels"

    def subset(self, indices: Iterable[int]) -> "Dataset":
        """The items at `indices`, in that order, without split marks."""
        return replace(self, items=[self.items[int(i)] for i in indices], splits={}, skipped=[], remarks=[])

    def without(self, rows: Container[int]) -> "Dataset":
        """All items but those at `rows`; splits, remarks and what was skipped stay."""
        kept = [row for row in range(len(self.items)) if row not in rows]
        place = {row: number for number, row in enumerate(kept)}
        splits = {name: [place[row] for row in members if row in place] for name, members in self.splits.items()}
        return replace(self, items=[self.items[row] for row in kept], splits=splits)

    def part(self, name: str) -> "Dataset":
        """The items of one split."""
        return self.subset(self.splits[name])


@dataclass
class FeatureSet:
    """Feature vectors instead of images: x float32 [N, D], y int64 [N] (-1: no label).

    `domains` names each row's domain, str [N], where several sets were joined.
    """

    spec: str
    classes: list[str]
    x: np.ndarray
    y: np.ndarray
    domains: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.x)
