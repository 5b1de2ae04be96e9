"""Safetensors known by their header: what else calls itself so is never given to a reader.

A file begins with the length of its header (8 bytes, little endian), then a JSON object that names every tensor with
its dtype, shape and place. A pickle of any protocol, a zip or a NumPy file begins otherwise.
"""

import io
import json
from pathlib import Path
from typing import Any, BinaryIO

from studio.core.errors import StoreError

LONGEST_HEADER = 100_000_000  # bytes, as the library has it
ENTRY = {"dtype", "shape", "data_offsets"}


def header_of(path: Path) -> dict[str, Any]:
    """{name: {dtype, shape, data_offsets}} of a file. Raises StoreError where it is no safetensors."""
    with open(path, "rb") as file:
        return read_header(file, path.stat().st_size, path.name)


def require_safetensors(data: bytes, name: str) -> None:
    """Raises StoreError, which calls them `name`, for bytes that are no safetensors."""
    read_header(io.BytesIO(data), len(data), name)


def read_header(file: BinaryIO, size: int, name: str) -> dict[str, Any]:
    """The header at the beginning of `size` bytes. Raises StoreError where there is none."""
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= min(LONGEST_HEADER, size - 8):
        raise _no_safetensors(name, "its first 8 bytes give no length of a header")
    try:
        header = json.loads(file.read(length))
    except (ValueError, RecursionError):
        raise _no_safetensors(name, "its header is no JSON") from None
    entries = {key: value for key, value in header.items() if key != "__metadata__"} if isinstance(header, dict) else {}
    if not isinstance(header, dict) or not all(isinstance(e, dict) and e.keys() >= ENTRY for e in entries.values()):
        raise _no_safetensors(name, "its header does not describe tensors")
    return entries


def _no_safetensors(name: str, reason: str) -> StoreError:
    return StoreError(f"{name} is no readable safetensors file: {reason}. Copy it again; a pickle is refused.")
