"""Rows of features on disk: files that are written once, whole, and memory-mapped by whoever reads."""

import io
import os
import secrets
from contextlib import suppress
from pathlib import Path

import numpy as np

from studio.store.files import clear_errors, write_atomic


class Shards:
    """The rows of one folder by the content hash of their image.

    A shard is two arrays in NumPy's format in one file: names S64 [n], then features float32 [n, D]. It appears
    under a name of its own in one step and never changes, so writers can't disturb each other or a reader;
    what two of them computed at once is merely there twice.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._rows: dict[str, tuple[np.ndarray, int]] = {}
        for path in sorted(folder.glob("*.shard")):
            with suppress(OSError, ValueError, EOFError):  # what a damaged shard held is computed again
                self._take(*map_shard(path))

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, digest: str) -> bool:
        return digest in self._rows

    def row(self, digest: str) -> np.ndarray:
        """Features float32 [D] of an image that is here."""
        shard, row = self._rows[digest]
        return shard[row]

    def add(self, digests: list[str], features: np.ndarray) -> None:
        """Keeps features [n, D] of n images. Raises StoreError where the disk refuses."""
        names = np.array(digests, dtype="S64")
        with clear_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        file = io.BytesIO()
        np.save(file, names, allow_pickle=False)
        np.save(file, features.astype("<f4", copy=False), allow_pickle=False)
        write_atomic(self.folder / f"{os.getpid()}-{secrets.token_hex(6)}.shard", file.getvalue())
        self._take(names, features)

    def _take(self, names: np.ndarray, shard: np.ndarray) -> None:
        if len(names) == len(shard):
            self._rows.update((name, (shard, row)) for row, name in enumerate(names.astype(str).tolist()))


def map_shard(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Names, and the features as they lie in the file. Raises ValueError for one that is no whole shard."""
    with open(path, "rb") as file:
        names = np.load(file, allow_pickle=False)
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("another version of NumPy's format")
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(file)
        if by_columns or dtype != np.dtype("<f4") or len(shape) != 2:
            raise ValueError("no rows of float32")
        features = np.memmap(file, dtype, "r", file.tell(), shape)
    return names, features.view(np.ndarray)  # rows of a plain array are handed out quicker
