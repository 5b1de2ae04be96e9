"""Blobs: files named by the SHA-256 of what they hold, so that equal content is kept once.

The tensors of a checkpoint make at most two blobs, each a safetensors file: what is below `backbone.`
and the rest. That is fine enough for ten heads to share one backbone, and coarse enough that a model
of a thousand small tensors is two files and two syncs, not a thousand.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core.errors import StoreError
from studio.store.files import clear_errors, replace, sync_folder, write_atomic
from studio.store.tensors import require_safetensors

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

NAME = re.compile(r"[0-9a-f]{64}")


class Blobs:
    """The blobs of one home. Whoever calls `put` holds the store's lock, so that `gc` can't interfere."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, digest: str) -> Path:
        if not NAME.fullmatch(digest):
            raise StoreError(f"{digest!r} names no blob; expected the 64 hexadecimal digits of a SHA-256.")
        return self.folder / digest

    def put(self, data: bytes) -> str:
        """Keeps `data` and returns its SHA-256. A damaged blob of this name is written anew."""
        digest = hashlib.sha256(data).hexdigest()
        if not self.intact(digest):
            write_atomic(self.path(digest), data)
        return digest

    def adopt(self, folder: Path) -> None:
        """Takes over the files of `folder`, which are synced and named by their SHA-256."""
        with clear_errors(self.folder):
            for path in folder.iterdir():
                if not self.path(path.name).is_file():
                    replace(path, self.path(path.name))
            sync_folder(self.folder)

    def read(self, digest: str) -> bytes:
        """The bytes of a blob, hashed again: damaged weights are never handed out as good ones."""
        path = self.path(digest)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise StoreError(f"The blob {path} can't be read ({error.strerror}). {_ADVICE}") from error
        if hashlib.sha256(data).hexdigest() != digest:
            raise StoreError(f"The blob {path} is damaged: its content does not match its name. {_ADVICE}")
        return data

    def intact(self, digest: str) -> bool:
        """Whether the blob is there and holds what its name says."""
        path = self.path(digest)
        if not path.is_file():
            return False
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == digest


_ADVICE = "`python launch.py verify` names the checkpoints it belongs to; import them again or run their recipe again."


def part_of(name: str) -> str:
    """The part of a checkpoint that a tensor belongs to: tensors of one part share a blob."""
    return "backbone" if name.startswith("backbone.") else "head"


def pack(tensors: "Mapping[str, Tensor]") -> bytes:
    """A safetensors file of `tensors`; equal tensors give equal bytes."""
    import safetensors.torch

    return safetensors.torch.save(dict(tensors))


def unpack(data: bytes, name: str = "a blob of tensors") -> "dict[str, Tensor]":
    """The tensors of a safetensors file, on the CPU. Raises StoreError, which calls it `name`, for anything else."""
    import safetensors.torch

    require_safetensors(data, name)
    try:
        return safetensors.torch.load(data)
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise StoreError(f"{name} is no readable safetensors file ({error}). Copy it again.") from None


def as_tensors(given: "Mapping[str, Tensor | np.ndarray]") -> "dict[str, Tensor]":
    """Contiguous CPU tensors that share no memory, as safetensors needs them.

    Raises TypeError for an array that no tensor can hold, such as one of texts or objects.
    """
    seen: set[int] = set()
    return {name: _separate(_as_tensor(name, value), seen) for name, value in given.items()}


def _as_tensor(name: str, value: Any) -> "Tensor":
    import numpy as np
    import torch

    if isinstance(value, torch.Tensor):
        return value.detach().cpu().contiguous()
    array = np.asarray(value)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"{name}: an array of {array.dtype} can't be kept as a tensor; put texts into the manifest.")
    return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C"))


def _separate(tensor: "Tensor", seen: set[int]) -> "Tensor":
    """`tensor`, or a copy of it where another one lives in the same memory (tied weights)."""
    place = tensor.untyped_storage().data_ptr()
    if place in seen:
        return tensor.clone()
    seen.add(place)
    return tensor
