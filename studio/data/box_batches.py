"""Augmented batches of pictures with boxes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from studio.core.boxes import Boxes
from studio.core.recipe import TrainSection
from studio.data.box_transforms import augment, pad
from studio.data.preprocess import Preprocess
from studio.data.transforms import normalize


class BoxBatches:
    """The batch of a step depends on (seed, step) alone: images [B, 3, S, S], boxes [B, M, 4], labels [B, M].

    pixels uint8 [N, 3, S, S]; `boxes` in those pixels. Boxes to ignore are left out of what is learned.
    """

    def __init__(self, pixels: Any, boxes: Sequence[Boxes], preprocess: Preprocess, settings: TrainSection) -> None:
        self.pixels, self.boxes, self.preprocess, self.settings = pixels, boxes, preprocess, settings
        self.batch_size = min(settings.batch_size, len(boxes))
        self.steps_per_epoch = max(1, len(boxes) // self.batch_size)

    def batch(self, step: int) -> dict[str, Tensor]:
        epoch, place = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng((self.settings.seed, epoch)).permutation(len(self.boxes))
        draw = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + step)
        rows = order[place * self.batch_size : (place + 1) * self.batch_size]
        images, boxes, labels = zip(*(self._one(row, draw) for row in rows), strict=True)
        corners, classes = pad(list(boxes), list(labels))
        return {"images": normalize(torch.stack(images), self.preprocess), "boxes": corners, "labels": classes}

    def _one(self, row: int, draw: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        pixels = torch.from_numpy(np.ascontiguousarray(self.pixels[row]))
        wanted = ~self.boxes[row].ignore
        boxes = torch.from_numpy(self.boxes[row].xyxy[wanted])
        labels = torch.from_numpy(self.boxes[row].labels[wanted])
        kind = self.settings.augment
        if kind == "none":
            return pixels, boxes, labels
        flip = kind == "flip"
        return augment(pixels, boxes, labels, pixels.shape[-1], draw, self.settings.crop, mirror=flip, colour=flip)
