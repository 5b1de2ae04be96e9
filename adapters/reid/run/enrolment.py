"""A gallery that grows and shrinks: a new checkpoint with the same network, and others in its gallery."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from adapters.reid.run.gallery import FILE, TENSORS, Gallery
from adapters.reid.run.predictor import Recogniser
from studio.core.errors import DataError, UsageError
from studio.core.home import Home
from studio.core.procedure import Procedure
from studio.data import read_image
from studio.data.files.images import BadImage
from studio.data.items import Dataset, Item
from studio.store import Checkpoint, Store

BATCH = 32  # images that are decoded and looked at together


class GalleryProcedure(Procedure):
    """A procedure whose checkpoints hold a gallery, and are taught by one more image in it."""

    def teach(
        self, checkpoint: Checkpoint, images: Mapping[str, Sequence[Image.Image]], *, device: str, home: Home,
        store: Store, predictor: Recogniser | None = None,
    ) -> Checkpoint:  # fmt: skip
        """A new checkpoint that also knows `images`, by individual, known or new; the network stays as it is.

        A correction is taught the same way: the photo, under its right name. Raises DataError where there is no image,
        or an individual has no name.
        """
        predictor = predictor or self.restore(checkpoint, device, home, store)
        labels = [label.strip() for label, given in images.items() for _ in given]
        if not labels or not all(labels):
            raise DataError("Expected at least one image, and a name for each individual.")
        names = list(dict.fromkeys(labels))
        embeddings = predictor.embed([image for given in images.values() for image in given]).astype(np.float32)
        identities = np.array([names.index(label) for label in labels], np.int64)
        added = Gallery(embeddings, identities, names, ["taught"] * len(labels), [""] * len(labels))
        return with_gallery(store, checkpoint, predictor.gallery.joined(added))


def with_gallery(store: Store, checkpoint: Checkpoint, gallery: Gallery) -> Checkpoint:
    """A new checkpoint with the network of another and this gallery; the numbers of the network stay true."""
    kept = {name: tensor for name, tensor in checkpoint.tensors().items() if not name.startswith(TENSORS)}
    files = {name: checkpoint.file(name) for name in checkpoint.manifest.files if name != FILE}
    manifest = checkpoint.manifest.model_copy(
        update={
            "id": "", "created": "", "tensors": {}, "files": {}, "classes": gallery.names,
            "lineage": {"parent": checkpoint.id},
        }
    )  # fmt: skip
    return store.put(manifest, {**kept, **gallery.tensors()}, {**files, **gallery.files()})


def embed_images_of(predictor: Recogniser, dataset: Dataset) -> tuple[np.ndarray, Dataset, int]:
    """Embeddings [N, D] of a dataset's images that can be read, those images, and how many can't be.

    Few images are in memory at a time. Raises DataError where none can be read.
    """
    kept, parts = list[Item](), list[np.ndarray]()
    for start in range(0, len(dataset), BATCH):
        batch = [(item, _read(item)) for item in dataset.items[start : start + BATCH]]
        readable = [(item, image) for item, image in batch if image is not None]
        if readable:
            parts.append(predictor.embed([image for _, image in readable]))
            kept += [item for item, _ in readable]
    if not kept:
        raise DataError(f"{dataset.spec}: none of its {len(dataset)} images can be read.")
    rest = Dataset(dataset.spec, dataset.classes, kept)
    return np.concatenate(parts).astype(np.float32), rest, len(dataset) - len(kept)


def _read(item: Item) -> Any:
    try:
        return read_image(item.source, item.name)
    except BadImage:
        return None


def opened(image: str | Path | Image.Image) -> Image.Image:
    """A person's photo, RGB and upright. Raises UsageError with the reason where it can't be read."""
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    try:
        return read_image(Path(image), str(image))
    except BadImage as error:
        raise UsageError(str(error)) from error
