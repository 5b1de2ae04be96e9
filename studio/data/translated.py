"""Images as a stored checkpoint translates them: `folder:photos | translate:CHECKPOINT?direction=backward`.

A step of a data spec: labels, boxes and masks stay with their image, which keeps its size. An image is translated when
it is first read, on the CPU, and then kept in the home folder by its content and the checkpoint's.
"""

import hashlib
import io
import json
import threading
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from studio.core import registry
from studio.core.errors import DataError, UsageError
from studio.core.home import Home
from studio.data.files.images import read_image
from studio.data.files.limits import LIMITS, Limits
from studio.data.items import Dataset, ImageSource
from studio.store import Checkpoint, Store
from studio.store.files import write_atomic
from studio.store.looking import looking

KEPT = "translated"  # the folder of images beside the features of the home
_BUSY = threading.Lock()


def translated(dataset: Dataset, name: str, options: dict[str, str], limits: Limits) -> Dataset:
    """The images of a data set as checkpoint `name` translates them; `options` are ways in which it may look.

    Raises DataError where there is no such checkpoint, or its answers are no images.
    """
    translator = Translator.of(name, options, limits.home or Home.find())
    items = [replace(item, source=TranslatedSource(item.source, translator, limits)) for item in dataset.items]
    return replace(dataset, items=items, remarks=[*dataset.remarks, f"Images are translated by {translator.name}."])


@dataclass(frozen=True)
class TranslatedSource:
    """One image as a checkpoint translates it."""

    original: ImageSource
    translator: "Translator"
    limits: Limits = field(default=LIMITS, repr=False)

    def read(self) -> bytes:
        """A PNG of the image's own size. Raises BadImage where the original can't be read."""
        path = self.translator.folder / f"{self.digest()}.png"
        if path.is_file():
            return path.read_bytes()
        out = io.BytesIO()
        self.translator(read_image(self.original, limits=self.limits)).save(out, "PNG", compress_level=1)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, out.getvalue())
        return out.getvalue()

    def digest(self) -> str:
        return hashlib.sha256(f"{self.original.digest()} by {self.translator.key}".encode()).hexdigest()


@dataclass(frozen=True)
class Translator:
    """A checkpoint that makes images, brought to life when it is first needed; one image at a time."""

    checkpoint: Checkpoint = field(compare=False)
    home: Home = field(compare=False)
    key: str  # of all that its images depend on

    @classmethod
    def of(cls, name: str, options: dict[str, str], home: Home) -> "Translator":
        """Raises DataError as `translated` does."""
        try:
            checkpoint = Store(home).checkpoint(name)
            checkpoint = looking(checkpoint, options) if options else checkpoint
        except UsageError as error:
            raise DataError(f"data: | translate:{name}: {error}") from error
        manifest = checkpoint.manifest
        if not registry.task_named(manifest.task).makes_images:
            raise DataError(
                f"data: | translate:{name}: {manifest.method} makes no images; expected a checkpoint of a task that "
                "does, such as translate."
            )
        facts = [sorted(manifest.blobs()), manifest.method, manifest.params, manifest.preprocess, manifest.recipe]
        return cls(checkpoint, home, hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest())

    @property
    def name(self) -> str:
        return self.checkpoint.id

    @property
    def folder(self) -> Path:
        """Where its images are kept."""
        return self.home.features / KEPT / self.key[:24]

    def __call__(self, image: Image.Image) -> Image.Image:
        with _BUSY:
            made = _alive(self).answers([image])[0].draw(image)
        assert made is not None
        return Image.fromarray(np.asarray(made.convert("RGB")))


@lru_cache(maxsize=2)
def _alive(translator: Translator) -> Any:
    """The checkpoint's predictor."""
    checkpoint, home = translator.checkpoint, translator.home
    procedure = registry.procedure_for(registry.get(checkpoint.manifest.method))
    return procedure.restore(checkpoint, "cpu", home, Store(home))
