"""Batches of several images of each of several individuals."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad
from torchvision.transforms.v2 import functional

from adapters.reid.task import ReidTrain
from studio.core.streams import Batch
from studio.data.augment.policies import erase
from studio.data.preprocess import Preprocess
from studio.data.transforms import normalize

SHIFT = 0.04  # of the height: by how much images are shifted, 10 pixels of 256 as is usual


class IdentityBatches:
    """The batch of a step depends on (seed, step) alone: images [B, 3, H, W], labels [B], cameras [B] where given.

    Images of one individual stand together. pixels uint8 [N, 3, H, W] of the input's size, labels int64 [N]; cameras
    int64 [N] are indices, -1 where one is not known.
    """

    def __init__(
        self, pixels: np.ndarray, labels: np.ndarray, preprocess: Preprocess, settings: ReidTrain,
        cameras: np.ndarray | None = None,
    ) -> None:  # fmt: skip
        self.pixels, self.labels, self.cameras = pixels, labels, cameras
        self.preprocess, self.settings = preprocess, settings
        self.each = settings.per_identity
        self.individuals = min(settings.batch_size // self.each, len(np.unique(labels[labels >= 0])))
        self.steps_per_epoch = max(1, len(labels) // (self.individuals * self.each))
        self._plan = lru_cache(maxsize=2)(self._planned)

    def batch(self, step: int) -> Batch:
        epoch, place = divmod(step, self.steps_per_epoch)
        rows = self._plan(epoch)[place]
        draw = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + step)
        images = self.augmented(torch.from_numpy(np.ascontiguousarray(self.pixels[rows])), draw)
        more = {} if self.cameras is None else {"cameras": torch.from_numpy(self.cameras[rows])}
        return Batch(images=images, labels=torch.from_numpy(self.labels[rows]), **more)

    def augmented(self, pixels: Tensor, draw: torch.Generator) -> Tensor:
        """Images uint8 [B, 3, H, W] mirrored, shifted, in other light, with a rectangle blanked; then normalised."""
        kind = self.settings.augment
        if kind != "none":
            mirrored = torch.rand(len(pixels), generator=draw) < 0.5
            pixels = torch.where(mirrored[:, None, None, None], pixels.flip(-1), pixels)
        if kind in ("crop", "jitter"):
            pixels = _shifted(pixels, round(SHIFT * pixels.shape[-2]), draw)
        if kind == "jitter":
            pixels = torch.stack([_in_other_light(image, draw) for image in pixels])
        images = normalize(pixels, self.preprocess)
        return erase(images, self.settings.erasing, draw) if self.settings.erasing else images

    def _planned(self, epoch: int) -> np.ndarray:
        """Rows of every batch of an epoch, int64 [steps, B]."""
        return planned(
            self.labels, self.individuals, self.each, self.steps_per_epoch,
            np.random.default_rng((self.settings.seed, epoch)),
        )  # fmt: skip


def planned(labels: np.ndarray, individuals: int, each: int, steps: int, draw: np.random.Generator) -> np.ndarray:
    """Rows int64 [steps, individuals * each] of labels [N]; -1 is nobody and stays out.

    A batch has different individuals. Each goes through all its images before any comes again, those with few images
    repeat some, and begin anew when there are too few others left. Hermans et al. 2017, section 2: P times K.
    """
    members = [np.flatnonzero(labels == label) for label in np.unique(labels[labels >= 0])]
    left: list[list[np.ndarray]] = [[] for _ in members]
    out = np.empty((steps, individuals * each), np.int64)
    for step in range(steps):
        able = [number for number, groups in enumerate(left) if groups]
        if len(able) < individuals:
            left = [groups or _groups(rows, each, draw) for groups, rows in zip(left, members, strict=True)]
            able = list(range(len(left)))
        chosen = draw.choice(able, individuals, replace=False)
        out[step] = np.concatenate([left[number].pop() for number in chosen])
    return out


def _groups(rows: np.ndarray, each: int, draw: np.random.Generator) -> list[np.ndarray]:
    """The rows of one individual in groups of `each`; the last is filled up with others of its rows."""
    order = draw.permutation(rows)
    missing = -len(order) % each
    return list(np.concatenate([order, np.resize(draw.permutation(rows), missing)]).reshape(-1, each))


def _shifted(pixels: Tensor, reach: int, draw: torch.Generator) -> Tensor:
    """Each image moved by up to `reach` pixels, with its edge black."""
    height, width = pixels.shape[-2:]
    wide = pad(pixels, (reach, reach, reach, reach))
    tops, lefts = torch.randint(2 * reach + 1, (2, len(pixels)), generator=draw).tolist()
    return torch.stack(
        [image[:, top : top + height, left : left + width] for image, top, left in zip(wide, tops, lefts, strict=True)]
    )


def _in_other_light(image: Tensor, draw: torch.Generator) -> Tensor:
    """Brightness, contrast, saturation by up to 30 %, hue by up to a tenth of a turn."""
    light, contrast, colour, hue = (2 * torch.rand(4, generator=draw) - 1).tolist()
    image = functional.adjust_brightness(image, 1 + 0.3 * light)
    image = functional.adjust_contrast(image, 1 + 0.3 * contrast)
    image = functional.adjust_saturation(image, 1 + 0.3 * colour)
    return functional.adjust_hue(image, 0.1 * hue)
