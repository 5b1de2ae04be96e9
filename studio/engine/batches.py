"""Augmented batches of decoded images."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from studio.core.sections import AugmentedTrain
from studio.core.streams import Batch
from studio.data.augment.policies import erase, mix, rand_augment, trivial_augment
from studio.data.looks.restyle import Restyle
from studio.data.preprocess import Preprocess
from studio.data.transforms import augment, normalize

POLICIES = {"trivial": trivial_augment, "rand": rand_augment}


class TrainBatches:
    """The batch of a step depends on (seed, step) alone: images [B, 3, H, W], labels [B] or soft [B, C].

    pixels uint8 [N, 3, S, S], S a little larger than the input; labels int64 [N]. `domains` int64 [N], where the images
    are of several, reach the batch as domains [B].
    """

    def __init__(
        self,
        pixels: Any,
        labels: np.ndarray,
        classes: int,
        preprocess: Preprocess,
        settings: AugmentedTrain,
        domains: np.ndarray | None = None,
        restyle: Restyle | None = None,
    ) -> None:
        self.domains, self.restyle = domains, restyle
        self.pixels, self.labels, self.classes = pixels, labels, classes
        self.preprocess, self.settings = preprocess, settings
        self.batch_size = min(settings.batch_size, len(labels))
        self.steps_per_epoch = max(1, len(labels) // self.batch_size)

    def batch(self, step: int) -> Batch:
        epoch, place = divmod(step, self.steps_per_epoch)
        rows = np.sort(self._order(epoch)[place * self.batch_size : (place + 1) * self.batch_size])
        labels = torch.from_numpy(self.labels[rows])
        draw = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + step)
        images = self._augmented(torch.from_numpy(np.ascontiguousarray(self.pixels[rows])), draw)
        if self.settings.mixup or self.settings.cutmix:
            images, labels = mix(images, labels, self.classes, self.settings.mixup, self.settings.cutmix, draw)
        more = {} if self.domains is None else {"domains": torch.from_numpy(self.domains[rows])}
        return Batch(images=images.contiguous(memory_format=torch.channels_last), labels=labels, **more)

    def _order(self, epoch: int) -> np.ndarray:
        """Rows of one epoch."""
        draw = np.random.default_rng((self.settings.seed, epoch))
        return balanced(self.labels, draw) if self.settings.balanced else draw.permutation(len(self.labels))

    def _augmented(self, pixels: Tensor, draw: torch.Generator) -> Tensor:
        kind = self.settings.augment
        if self.restyle is not None:
            pixels = self.restyle(pixels, draw)
        if kind == "none":
            return normalize(centre(pixels, self.preprocess.image_size), self.preprocess)
        if kind in POLICIES:
            pixels = POLICIES[kind](pixels, draw)
        images = augment(pixels, self.preprocess, draw, self.settings.crop, mirror=kind != "crop")
        return erase(images, self.settings.erasing, draw) if self.settings.erasing else images


def balanced(labels: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """As many rows as there are labels [N], each class as often as any other; small classes come round again."""
    classes = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    each = -(-len(labels) // len(classes))
    columns = [
        np.concatenate([draw.permutation(rows) for _ in range(-(-each // len(rows)))])[:each] for rows in classes
    ]
    table = draw.permuted(np.stack(columns, axis=1), axis=1)  # every line holds each class once
    return table.reshape(-1)[: len(labels)]


def rows_in_turn(count: int, size: int, step: int, seed: int, number: int) -> np.ndarray:
    """The `size` rows of a step, of a stream of `count` images: each comes once before any comes again.

    `number` tells streams of one training apart.
    """
    places = np.arange(step * size, (step + 1) * size)
    orders = {
        lap: np.random.default_rng((seed, number, lap)).permutation(count)
        for lap in np.unique(places // count).tolist()
    }
    return np.array([orders[lap][place] for lap, place in zip(places // count, places % count, strict=True)])


def centre(pixels: Tensor, side: int) -> Tensor:
    """The middle [B, 3, side, side]."""
    top, left = ((size - side) // 2 for size in pixels.shape[-2:])
    return pixels[..., top : top + side, left : left + side]
