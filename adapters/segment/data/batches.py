"""Augmented batches of images with class maps."""

import numpy as np
import torch
from torch import Tensor
from torchvision.tv_tensors import Image, Mask

from adapters.segment.data.decoded import MaskedSplit
from adapters.segment.data.transforms import cropped, distort, mirrored, window, window_of_class
from adapters.segment.task import SegmentTrain
from studio.core.streams import Batch
from studio.data.looks.restyle import Restyle
from studio.data.preprocess import Preprocess
from studio.data.transforms import normalize


class MaskBatches:
    """The batch of a step depends on (seed, step) alone: images [B, 3, S, S], masks uint8 [B, S, S].

    S is `preprocess.image_size`. With `rare_classes` an image is picked by a class (see `chances`), and its crop shows
    that class where ten tries find it.
    """

    def __init__(
        self, split: MaskedSplit, preprocess: Preprocess, settings: SegmentTrain, restyle: Restyle | None = None
    ) -> None:
        self.split, self.preprocess, self.settings, self.restyle = split, preprocess, settings, restyle
        self.batch_size = min(settings.batch_size, len(split.images))
        self.steps_per_epoch = max(1, len(split.images) // self.batch_size)
        pixels = split.counts[:, :-1]
        self.of_class = [np.flatnonzero(pixels[:, label]) for label in range(pixels.shape[1])]
        self.chances = chances(pixels.sum(axis=0), settings.rare_classes) if settings.rare_classes else None

    def batch(self, step: int) -> Batch:
        draw = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + step)
        images, masks = zip(*(self._one(row, label, draw) for row, label in self._chosen(step)), strict=True)
        return Batch(images=normalize(torch.stack(images), self.preprocess), masks=torch.stack(masks))

    def _chosen(self, step: int) -> list[tuple[int, int | None]]:
        """Rows of the images, each with the class that it is picked for, if any."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if self.chances is None:
            order = np.random.default_rng((self.settings.seed, epoch)).permutation(len(self.split.images))
            return [(int(row), None) for row in order[place * self.batch_size : (place + 1) * self.batch_size]]
        draw = np.random.default_rng((self.settings.seed, epoch, place))
        labels = draw.choice(len(self.chances), self.batch_size, p=self.chances).tolist()
        return [(int(draw.choice(self.of_class[label])), label) for label in labels]

    def _one(self, row: int, label: int | None, draw: torch.Generator) -> tuple[Tensor, Tensor]:
        image, mask = Image(torch.from_numpy(self.split.images[row])), Mask(torch.from_numpy(self.split.maps[row]))
        side, kind = self.preprocess.image_size, self.settings.augment
        zoom = 1.0 if kind == "none" else self.settings.zoom
        if label is None:
            chosen = window((mask.shape[-2], mask.shape[-1]), side, zoom, draw)
        else:
            chosen = window_of_class(mask.as_subclass(Tensor), label, side, zoom, draw)
        pixels, truth = cropped(image, mask, chosen, side)
        if kind in ("flip", "distort") and torch.rand((), generator=draw) < 0.5:
            pixels, truth = mirrored(pixels, truth)
        if self.restyle is not None:
            pixels = self.restyle(pixels[None], draw)[0]
        if kind == "distort":
            pixels = distort(pixels, draw)
        return pixels.as_subclass(Tensor), truth.as_subclass(Tensor)


def chances(pixels: np.ndarray, temperature: float) -> np.ndarray:
    """How often each class is picked, summing to 1: softmax of (1 - its share of the pixels) / temperature.

    Hoyer et al. 2022, DAFormer, equation 7. A class without a pixel is never picked.
    """
    frequency = pixels / max(1, pixels.sum())
    powers = (1 - frequency) / temperature
    weights = np.where(pixels > 0, np.exp(powers - powers[pixels > 0].max()), 0.0)
    return weights / weights.sum()
