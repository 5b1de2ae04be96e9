"""Class maps in little memory: few classes in large areas pack to a fiftieth of their pixels."""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

FAST = 1  # zlib's level: a map of two million pixels takes some ten milliseconds either way


class PackedMaps(Sequence[np.ndarray]):
    """Class maps uint8 [H, W], each of its own size, unpacked when they are asked for."""

    def __init__(self, packed: "Iterable[Packed]") -> None:
        self._packed = list(packed)

    def __getitem__(self, row: int) -> np.ndarray:  # type: ignore[override]
        return unpack(self._packed[row])

    def __len__(self) -> int:
        return len(self._packed)


class PackedByRow(Mapping[int, np.ndarray]):
    """The same by row, in whatever order they come."""

    def __init__(self, maps: Iterable[tuple[int, np.ndarray]]) -> None:
        self._packed = {row: pack(mask) for row, mask in maps}

    def __getitem__(self, row: int) -> np.ndarray:
        return unpack(self._packed[row])

    def __iter__(self) -> Iterator[int]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)


Packed = tuple[tuple[int, ...], bytes]


def pack(mask: np.ndarray) -> Packed:
    return mask.shape, zlib.compress(np.ascontiguousarray(mask), FAST)


def unpack(packed: Packed) -> np.ndarray:
    shape, content = packed
    return np.frombuffer(zlib.decompress(content), np.uint8).reshape(shape)
