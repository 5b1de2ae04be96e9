"""The gallery that a checkpoint holds: an embedding of each image, who is in it, and what took it. No image is kept."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from studio.core.errors import StoreError
from studio.data.items import Dataset

TENSORS = "gallery."  # how the names of its tensors begin
FILE = "gallery.json"


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

    def nearest(self, embeddings: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The nearest images of each of embeddings [Q, D]: rows int64 [Q, k] and squared distances [Q, k]."""
        queries = embeddings.astype(np.float64)
        squares = np.square(self.embeddings, dtype=np.float64).sum(axis=1)
        distances = np.square(queries).sum(axis=1)[:, None] + squares - 2 * queries @ self.embeddings.T
        order = np.argsort(distances, axis=1, kind="stable")[:, :count]
        return order, np.maximum(np.take_along_axis(distances, order, axis=1), 0)

    def tensors(self) -> dict[str, np.ndarray]:
        """What a checkpoint keeps as tensors."""
        return {f"{TENSORS}embeddings": self.embeddings, f"{TENSORS}identities": self.identities}

    def files(self) -> dict[str, bytes]:
        """What a checkpoint keeps as files."""
        facts = {"images": self.images, "cameras": self.cameras}
        return {FILE: json.dumps(facts, ensure_ascii=False).encode(errors="replace")}

    @classmethod
    def load(cls, checkpoint: Any) -> "Gallery":
        """The gallery of a stored checkpoint. Raises StoreError where it is not whole."""
        names, tensors = list(checkpoint.manifest.classes), checkpoint.tensors(TENSORS)
        try:
            embeddings, identities = (np.asarray(tensors[TENSORS + part]) for part in ("embeddings", "identities"))
            facts = json.loads(checkpoint.file(FILE))
            gallery = cls(embeddings, identities, names, facts["images"], facts["cameras"])
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f"{checkpoint.id}: its gallery is damaged ({error}).") from error
        lengths = {len(embeddings), len(identities), len(gallery.images), len(gallery.cameras)}
        inside = len(identities) == 0 or (identities.min() >= 0 and identities.max() < len(names))
        if len(lengths) != 1 or embeddings.ndim != 2 or not inside:
            raise StoreError(f"{checkpoint.id}: its gallery does not fit together; it is damaged.")
        return gallery
