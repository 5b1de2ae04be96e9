"""Images through a trained embedding: from a dataset as they are decoded, from pixels in memory, or from photos."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from adapters.reid.base import EmbeddingLearner
from studio.core.errors import StoppedByUser
from studio.core.procedure import Job
from studio.data.files.images import BadImage, read_image
from studio.data.files.prefetch import in_order
from studio.data.items import Dataset, Item, Skipped
from studio.data.load_split import tell_of_skipped
from studio.data.preprocess import Preprocess
from studio.data.transforms import normalize, to_input

BATCH = 64
AHEAD = 3  # batches decoded while one is computed


class Eye:
    """A learner in evaluation mode: uint8 [B, 3, H, W] and camera names to unit vectors float32 [B, D].

    `cameras` are those that it was told of in training, with their index; `flip`: the mean with the mirrored image.
    """

    def __init__(
        self, learner: EmbeddingLearner, preprocess: Preprocess, device: str, cameras: Mapping[str, int], flip: bool,
        embed: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:  # fmt: skip
        """`embed` of images and cameras, where it is not the learner's own."""
        self.preprocess, self.device = preprocess, device
        self.cameras, self.flip, self.embed = cameras, flip, embed or learner.embed
        learner.train_mode(False)

    def __call__(self, pixels: Tensor, cameras: Sequence[str]) -> np.ndarray:
        known = torch.tensor([self.cameras.get(name, -1) for name in cameras], device=self.device)
        with torch.inference_mode():
            images = normalize(pixels.to(self.device), self.preprocess)
            found = self.embed(images, known)
            if self.flip:
                found = torch.nn.functional.normalize(found + self.embed(images.flip(-1), known), dim=1)
        return found.float().cpu().numpy()

    def photos(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Of RGB images whose camera is not known."""
        pixels = [to_input(image, self.preprocess) for image in images]
        parts = [self(torch.stack(pixels[i : i + BATCH]), [""] * len(pixels[i : i + BATCH])) for i in _starts(pixels)]
        return np.concatenate(parts)


def embed_pixels(eye: Eye, pixels: np.ndarray, cameras: Sequence[str]) -> np.ndarray:
    """Embeddings of decoded images uint8 [N, 3, H, W]."""
    parts = [
        eye(torch.from_numpy(np.ascontiguousarray(pixels[i : i + BATCH])), cameras[i : i + BATCH])
        for i in _starts(pixels)
    ]
    return np.concatenate(parts)


def embed_dataset(job: Job, eye: Eye, dataset: Dataset, what: str) -> tuple[np.ndarray, Dataset]:
    """Embeddings [N, D] of the images that can be read, and those images; few are in memory at a time.

    Raises DataError where none can be read, and StoppedByUser.
    """
    kept, skipped, parts, batch = list[Item](), list(dataset.skipped), list[np.ndarray](), list[Tensor]()
    for number, (item, pixels) in enumerate(_decoded(dataset, eye.preprocess, job.recipe.train.workers), start=1):
        if isinstance(pixels, BadImage):
            skipped.append(Skipped(item.name, pixels.reason))
        else:
            kept.append(item)
            batch.append(pixels)
        if batch and (len(batch) == BATCH or number == len(dataset)):
            parts.append(eye(torch.stack(batch), [item.camera or "" for item in kept[-len(batch) :]]))
            batch = []
            job.events.progress(f"embedding {what}", number, len(dataset))
            if job.should_stop():
                raise StoppedByUser(f"Stopped after embedding {number} of {len(dataset)} images of {what}.")
    dataset = replace(dataset, items=kept, skipped=skipped, splits={})
    tell_of_skipped(job, dataset, what)
    return np.concatenate(parts), dataset


def _decoded(dataset: Dataset, preprocess: Preprocess, workers: int) -> Iterator[tuple[Item, Tensor | BadImage]]:
    def load(item: Item) -> Tensor | BadImage:
        try:
            return to_input(read_image(item.source, item.name, min_side=preprocess.image_size), preprocess)
        except BadImage as error:
            return error

    with ThreadPoolExecutor(max(1, workers)) as pool:
        yield from zip(dataset.items, in_order(pool, load, dataset.items, AHEAD * BATCH), strict=True)


def _starts(rows: Sequence[object] | np.ndarray) -> range:
    return range(0, len(rows), BATCH)
