"""Resume state without pickle: nested plain Python, tensors and arrays in, the same out, bit for bit.

One save is one safetensors file, `gen-000123-<checksum>.safetensors`: the raw bytes of every tensor,
and under `structure` the JSON that says how they hang together. Being one file, it is replaced as one;
its name carries the checksum of its content, so a damaged generation is known, and the one before it
is still there. Raw bytes and a dtype name, rather than safetensors' own types, so that whatever torch
or NumPy can hold (complex128, float8, big-endian) comes back as it was.
"""

import base64
import hashlib
import json
import math
import re
import struct
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from studio.core.errors import StoreError
from studio.store.files import TEMP, clear_errors, write_atomic
from studio.store.tensors import require_safetensors

KEEP = 2
KINDS = "biufcSUmM"  # of NumPy: numbers, texts and times, never objects
_NAME = re.compile(r"gen-(\d{6,})-([0-9a-f]{16})\.safetensors")
_STRUCTURE = "structure"


def save_state(folder: Path, state: dict[str, Any]) -> None:
    """Keeps `state` in `folder` as a new generation; the last two stay. One writer at a time.

    It may nest dicts (any plain keys), lists and tuples of tensors, NumPy arrays and numbers, int,
    float, bool, str, bytes and None. Raises TypeError naming the place of anything else, and
    StoreError, the older generations untouched, where the disk refuses.
    """
    import safetensors.numpy

    arrays: dict[str, np.ndarray] = {}
    structure = json.dumps(_encode(state, "state", arrays)).encode()
    data = safetensors.numpy.save({_STRUCTURE: np.frombuffer(structure, np.uint8), **arrays})
    with clear_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for cut_short in folder.glob(f"{TEMP}*"):
            cut_short.unlink()
        older = generations(folder)
        number = 1 + max((number for number, _ in older), default=0)
        write_atomic(folder / f"gen-{number:06d}-{_checksum(data)}.safetensors", data)
        for _, path in older[KEEP - 1 :]:
            path.unlink(missing_ok=True)


def load_state(folder: Path, on_damage: Callable[[str], None] = warnings.warn) -> dict[str, Any] | None:
    """The newest intact state, tensors on the CPU; None where none was saved yet.

    `on_damage` hears of each generation that had to be passed over. Raises StoreError where all are damaged.
    """
    found = generations(folder)
    for _, path in found:
        data = path.read_bytes()
        if _checksum(data) == _NAME.fullmatch(path.name)[2]:
            return _read(data)
        on_damage(f"The resume state {path} is damaged; the one before it is taken.")
    if found:
        raise StoreError(f"Every resume state in {folder} is damaged. Delete that folder to begin the run again.")
    return None


def generations(folder: Path) -> list[tuple[int, Path]]:
    """Generations and their numbers, newest first."""
    paths = folder.iterdir() if folder.is_dir() else ()
    return sorted(((int(match[1]), path) for path in paths if (match := _NAME.fullmatch(path.name))), reverse=True)


def _checksum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _read(data: bytes) -> dict[str, Any]:
    import safetensors.numpy

    require_safetensors(data, "A resume state")
    arrays = safetensors.numpy.load(data)
    return _decode(json.loads(arrays.pop(_STRUCTURE).tobytes()), arrays)


def _encode(value: Any, place: str, arrays: dict[str, np.ndarray]) -> Any:
    """JSON for `value`: lists and simple values as they are, all else as {kind: ...}; bytes go into `arrays`."""
    kind = type(value)
    if value is None or kind in (bool, str):
        return value
    if kind is int:
        return value if abs(value) < 1 << 63 else {"int": hex(value)}
    if kind is float:
        return value if math.isfinite(value) else {"float": struct.pack("<d", value).hex()}
    if kind is list:
        return [_encode(item, f"{place}[{i}]", arrays) for i, item in enumerate(value)]
    if kind is tuple:
        return {"tuple": [_encode(item, f"{place}[{i}]", arrays) for i, item in enumerate(value)]}
    if isinstance(value, dict):
        items = value.items()
        return {"dict": [[_encode(k, f"{place} key", arrays), _encode(v, f"{place}.{k}", arrays)] for k, v in items]}
    if kind is bytes:
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, (np.ndarray, np.generic)):
        return _encode_array(value, place, arrays)
    if _is_tensor(value):
        return _encode_tensor(value, arrays)
    raise TypeError(f"{place}: a {kind.__name__} can't be kept in a resume state.")


def _is_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")  # where torch was never imported there is no tensor
    return torch is not None and isinstance(value, torch.Tensor)


def _encode_array(value: Any, place: str, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    if value.dtype.kind not in KINDS:
        raise TypeError(f"{place}: a NumPy array of {value.dtype} can't be kept in a resume state.")
    raw = np.frombuffer(value.tobytes(), np.uint8)
    kind = "array" if isinstance(value, np.ndarray) else "number"
    return {kind: [_add(raw, arrays), value.dtype.str, list(value.shape)]}


def _encode_tensor(value: Any, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    import torch

    raw = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return {"tensor": [_add(raw, arrays), str(value.dtype).removeprefix("torch."), list(value.shape)]}


def _add(raw: np.ndarray, arrays: dict[str, np.ndarray]) -> str:
    name = str(len(arrays))
    arrays[name] = raw
    return name


def _decode(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_decode(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    return _DECODERS[kind](inner, arrays)


def _array(inner: list[Any], arrays: dict[str, np.ndarray]) -> np.ndarray:
    name, dtype, shape = inner
    kind = np.dtype(dtype)
    if kind.kind not in KINDS:
        raise StoreError(f"A resume state holds an array of {dtype}, which none is written with. It is damaged.")
    return np.ndarray(tuple(shape), kind, buffer=arrays[name].tobytes()).copy()


def _tensor(inner: list[Any], arrays: dict[str, np.ndarray]) -> Any:
    import torch

    name, dtype, shape = inner
    tensor = torch.empty(shape, dtype=getattr(torch, dtype))
    if tensor.numel():
        tensor.view(-1).view(torch.uint8).copy_(torch.from_numpy(arrays[name]))
    return tensor


_DECODERS: dict[str, Callable[[Any, dict[str, np.ndarray]], Any]] = {
    "int": lambda inner, _: int(inner, 16),
    "float": lambda inner, _: struct.unpack("<d", bytes.fromhex(inner))[0],
    "bytes": lambda inner, _: base64.b64decode(inner),
    "tuple": lambda inner, arrays: tuple(_decode(inner, arrays)),
    "dict": lambda inner, arrays: {_decode(key, arrays): _decode(item, arrays) for key, item in inner},
    "array": _array,
    "number": lambda inner, arrays: _array(inner, arrays)[()],
    "tensor": _tensor,
}
