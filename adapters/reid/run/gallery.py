"""The gallery that a checkpoint holds: an embedding of each image, who is in it, and what took it. No image is kept."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from studio.core.errors import StoreError, UsageError
from studio.data.features.neighbours import Neighbours, nearest_in
from studio.data.items import Dataset

TENSORS = "gallery."  # how the names of its tensors begin
FILE = "gallery.json"
MANY = 10_000  # images from which unit vectors are stored in half precision: off by 0.0005 at most


@dataclass(frozen=True)
class Gallery:
    """embeddings float32 [N, D]; identities int64 [N], indices into `names`; names of images [N]; cameras [N], "" where
    they are not known."""

    embeddings: np.ndarray
    identities: np.ndarray
    names: list[str]
    images: list[str]
    cameras: list[str]

    def __len__(self) -> int:
        return len(self.embeddings)

    @classmethod
    def of(cls, embeddings: np.ndarray, dataset: Dataset) -> "Gallery":
        """Of a dataset's images; those of nobody stay out, and individuals without an image too."""
        rows = np.flatnonzero(dataset.labels >= 0)
        present, identities = np.unique(dataset.labels[rows], return_inverse=True)
        items = [dataset.items[row] for row in rows]
        names = [dataset.classes[label] for label in present]
        images, cameras = [item.name for item in items], [item.camera or "" for item in items]
        return cls(embeddings[rows].astype(np.float32), identities.reshape(-1).astype(np.int64), names, images, cameras)

    @classmethod
    def empty(cls, width: int = 0) -> "Gallery":
        """Of nobody."""
        return cls(np.zeros((0, width), np.float32), np.zeros(0, np.int64), [], [], [])

    def joined(self, other: "Gallery") -> "Gallery":
        """Both; who is called alike is the same."""
        if not len(self):
            return other
        names = list(dict.fromkeys([*self.names, *other.names]))
        place = np.array([names.index(name) for name in other.names], np.int64)
        return Gallery(
            np.concatenate([self.embeddings, other.embeddings]),
            np.concatenate([self.identities, place[other.identities]]),
            names, self.images + other.images, self.cameras + other.cameras,
        )  # fmt: skip

    def without(self, name: str) -> "Gallery":
        """All but one. Raises UsageError where there is none of this name."""
        if name not in self.names:
            raise UsageError(f"The gallery has nobody called {name!r}; it has {len(self.names)} others.")
        gone = self.names.index(name)
        rows = np.flatnonzero(self.identities != gone)
        identities = self.identities[rows]
        return Gallery(
            self.embeddings[rows], identities - (identities > gone), [other for other in self.names if other != name],
            [self.images[row] for row in rows], [self.cameras[row] for row in rows],
        )  # fmt: skip

    def nearest(self, embeddings: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The nearest images of each of embeddings [Q, D]: rows int64 [Q, k] and squared distances [Q, k]."""
        return self._neighbours.search(embeddings, count)

    @cached_property
    def _neighbours(self) -> Neighbours:
        return nearest_in(self.embeddings)

    def tensors(self) -> dict[str, np.ndarray]:
        """What a checkpoint keeps as tensors."""
        narrow = len(self) > MANY and float(np.abs(self.embeddings).max()) <= 1
        embeddings = self.embeddings.astype(np.float16) if narrow else self.embeddings
        return {f"{TENSORS}embeddings": embeddings, f"{TENSORS}identities": self.identities}

    def files(self) -> dict[str, bytes]:
        """What a checkpoint keeps as files."""
        facts = {"images": self.images, "cameras": self.cameras}
        return {FILE: json.dumps(facts, ensure_ascii=False).encode(errors="replace")}

    @classmethod
    def load(cls, checkpoint: Any) -> "Gallery":
        """The gallery of a stored checkpoint, empty where it has none. Raises StoreError where it is not whole."""
        if FILE not in checkpoint.manifest.files:
            return cls.empty()
        names, tensors = list(checkpoint.manifest.classes), checkpoint.tensors(TENSORS)
        try:
            embeddings, identities = (np.asarray(tensors[TENSORS + part]) for part in ("embeddings", "identities"))
            facts = json.loads(checkpoint.file(FILE))
            gallery = cls(embeddings.astype(np.float32), identities, names, facts["images"], facts["cameras"])
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f"{checkpoint.id}: its gallery is damaged ({error}).") from error
        lengths = {len(embeddings), len(identities), len(gallery.images), len(gallery.cameras)}
        inside = len(identities) == 0 or (identities.min() >= 0 and identities.max() < len(names))
        if len(lengths) != 1 or embeddings.ndim != 2 or not inside:
            raise StoreError(f"{checkpoint.id}: its gallery does not fit together; it is damaged.")
        return gallery
