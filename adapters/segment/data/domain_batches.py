"""Batches of two domains: a source with class maps, beside as many crops of a target of which nothing is told."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from adapters.segment.data.batches import MaskBatches
from adapters.segment.data.transforms import window
from studio.core.streams import Batch, StreamBatches
from studio.data.transforms import normalize
from studio.engine.batches import rows_in_turn


class DomainMaskBatches:
    """The batch of a step depends on (seed, step) alone; an epoch is one pass over the source.

    Of the target: images [B, 3, S, S], cropped and mirrored, in their own colours. `images` uint8 [3, h, w] each.
    """

    def __init__(self, source: MaskBatches, images: Sequence[np.ndarray]) -> None:
        self.source, self.images = source, images
        self.batch_size, self.steps_per_epoch = source.batch_size, source.steps_per_epoch

    def batch(self, step: int) -> StreamBatches:
        seed = self.source.settings.seed
        draw = torch.Generator().manual_seed(seed * 1_000_003 + step + 500_009)
        rows = rows_in_turn(len(self.images), self.batch_size, step, seed, 1)
        crops = torch.stack([self._crop(int(row), draw) for row in rows])
        target = Batch(images=normalize(crops, self.source.preprocess))
        return StreamBatches(source=self.source.batch(step), target=target)

    def _crop(self, row: int, draw: torch.Generator) -> Tensor:
        """A window of an image, uint8 [3, S, S]."""
        image, settings = torch.from_numpy(self.images[row]), self.source.settings
        side, kind = self.source.preprocess.image_size, settings.augment
        zoom = 1.0 if kind == "none" else settings.zoom
        top, left, length = window((image.shape[-2], image.shape[-1]), side, zoom, draw)
        crop = functional.resized_crop(image, top, left, length, length, [side, side], antialias=True)
        mirrored = kind in ("flip", "distort") and torch.rand((), generator=draw) < 0.5
        return functional.horizontal_flip(crop) if mirrored else crop
