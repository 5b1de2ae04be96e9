"""Images of another library's dataset: each row is decoded when it is read, never all at once."""

import hashlib
import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from studio.data.items import ArraySource


@dataclass(frozen=True, eq=False)
class RowSource:
    """The image in one row: `rows[index]`, by way of `image(row)` (bytes of a file, or an image of Pillow)."""

    rows: Any
    index: int
    image: Any
    lock: threading.Lock = field(repr=False)  # such datasets seldom say that threads may share them

    def read(self) -> bytes | np.ndarray:
        with self.lock:
            image = self.image(self.rows[self.index])
        return image if isinstance(image, bytes) else np.asarray(image.convert("RGB"))

    def digest(self) -> str:
        content = self.read()
        return hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else ArraySource(content).digest()
