"""The support set that a checkpoint holds: features, labels, names and thumbnails of labelled photos.

This is all there is to a few-shot classifier on a frozen backbone; teaching it is adding rows.
"""

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

from fewshot import thumbnails
from studio.core.errors import StoreError

#: thumbnails kept of one teaching; photos beyond take part, but are not shown
MOST_THUMBNAILS = 2000
STORED_TILE = "picture"  # as checkpoints call it


@dataclass(frozen=True)
class SupportSet:
    """Labelled photos as features.

    features float32 [N, D]; labels int64 [N], indices into `classes`; names [N]; tiles [N]: (file, tile) of the
    sheet that shows the photo, or None; sheets: JPEG files by name.
    """

    features: np.ndarray
    labels: np.ndarray
    classes: list[str]
    names: list[str]
    tiles: list[tuple[str, int] | None]
    sheets: dict[str, bytes] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.features)

    @classmethod
    def empty(cls, width: int, classes: Sequence[str] = ()) -> "SupportSet":
        return cls(np.empty((0, width), np.float32), np.empty(0, np.int64), list(classes), [], [])

    def with_photos(
        self, features: np.ndarray, labels: Sequence[str], names: Sequence[str], images: Sequence[Image.Image]
    ) -> "SupportSet":
        """This set and more photos: features [M, D], class names [M], which may be new, and names [M].

        `images` shows the first of them, as many as are given.
        """
        classes = self.classes + [name for name in dict.fromkeys(labels) if name not in self.classes]
        place = {name: number for number, name in enumerate(classes)}
        sheets = dict(self.sheets)
        tiles: list[tuple[str, int] | None] = [None] * len(labels)
        for start in range(0, len(images), thumbnails.TILES):
            shown = images[start : start + thumbnails.TILES]
            file = f"photos-{len(sheets)}.jpg"
            sheets[file] = thumbnails.sheet(shown)
            tiles[start : start + len(shown)] = [(file, tile) for tile in range(len(shown))]
        return SupportSet(
            features=np.concatenate([self.features, features.astype(np.float32)]),
            labels=np.concatenate([self.labels, np.array([place[name] for name in labels], np.int64)]),
            classes=classes,
            names=[*self.names, *names],
            tiles=[*self.tiles, *tiles],
            sheets=sheets,
        )

    def counts(self) -> np.ndarray:
        """Photos of each class [C]."""
        return np.bincount(self.labels, minlength=len(self.classes))

    def thumbnail(self, number: int) -> Image.Image | None:
        """The thumbnail of photo `number`, if one was kept."""
        place = self.tiles[number]
        if place is None:
            return None
        with Image.open(io.BytesIO(self.sheets[place[0]])) as paper:
            return thumbnails.tile(paper, place[1])

    def tensors(self) -> dict[str, np.ndarray]:
        """What a checkpoint keeps as tensors."""
        return {"support.features": self.features, "support.labels": self.labels}

    def files(self) -> dict[str, bytes]:
        """What a checkpoint keeps as files: the sheets, and photos.json with names and places."""
        rows = [{"name": name, STORED_TILE: tile} for name, tile in zip(self.names, self.tiles, strict=True)]
        return {**self.sheets, "photos.json": json.dumps(rows, ensure_ascii=False).encode(errors="replace")}

    @classmethod
    def load(cls, checkpoint: Any) -> "SupportSet":
        """The support set of a stored checkpoint. Raises StoreError where it is not whole."""
        manifest = checkpoint.manifest
        tensors = checkpoint.tensors("support.")
        try:
            features, labels = tensors["support.features"].numpy(), tensors["support.labels"].numpy()
            rows = json.loads(checkpoint.file("photos.json"))
            names = [row["name"] for row in rows]
            tiles = [row[STORED_TILE] and tuple(row[STORED_TILE]) for row in rows]
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f"{manifest.id}: its support set is damaged ({error}).") from error
        sheets = {name: checkpoint.file(name) for name in manifest.files if name.endswith(".jpg")}
        support = cls(features, labels, list(manifest.classes), names, tiles, sheets)
        support._check(manifest.id)
        return support

    def _check(self, checkpoint: str) -> None:
        lengths = {len(self.features), len(self.labels), len(self.names), len(self.tiles)}
        inside = len(self.labels) == 0 or (self.labels.min() >= 0 and self.labels.max() < len(self.classes))
        shown = all(tile is None or tile[0] in self.sheets for tile in self.tiles)
        if len(lengths) != 1 or self.features.ndim != 2 or not inside or not shown:
            raise StoreError(f"{checkpoint}: its support set does not fit together; it is damaged.")

    def without_empty_classes(self) -> "SupportSet":
        """Only the classes that have photos; the others could never be predicted."""
        kept = np.flatnonzero(self.counts())
        place = np.full(len(self.classes), -1)
        place[kept] = np.arange(len(kept))
        return replace(self, labels=place[self.labels], classes=[self.classes[c] for c in kept])

    def by_class(self) -> Iterator[tuple[str, np.ndarray]]:
        """Each class and the numbers of its photos."""
        for number, name in enumerate(self.classes):
            yield name, np.flatnonzero(self.labels == number)
