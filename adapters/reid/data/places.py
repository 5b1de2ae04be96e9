"""Batches of the images of two places, for a translation between them."""

import numpy as np
import torch

from adapters.translate.data.batches import rows_of_step, to_signed
from studio.core.streams import Batch, StreamBatches


class PlaceBatches:
    """Batches of source and target, each images float32 [B, 3, H, W] in -1..1, drawn apart, half of them mirrored.

    An epoch is a pass over the larger place; of the smaller, rows come round again. A batch depends on (seed, step)
    alone. source and target are pixels uint8 [N, 3, H, W] and [M, 3, H, W].
    """

    def __init__(self, source: np.ndarray, target: np.ndarray, batch_size: int, seed: int) -> None:
        self.pixels, self.seed = {"source": source, "target": target}, seed
        self.batch_size = min(batch_size, len(source), len(target))
        self.steps_per_epoch = max(len(source), len(target)) // self.batch_size

    def batch(self, step: int) -> StreamBatches:
        return StreamBatches(**{name: self._of(name, number, step) for number, name in enumerate(self.pixels)})

    def _of(self, name: str, number: int, step: int) -> Batch:
        pixels = self.pixels[name]
        rows = rows_of_step(len(pixels), self.batch_size, step, (self.seed, number))
        images = to_signed(torch.from_numpy(np.ascontiguousarray(pixels[rows])))
        draw = torch.Generator().manual_seed((self.seed * 1_000_003 + step) * 2 + number)
        mirrored = torch.rand(len(images), generator=draw) < 0.5
        return Batch(images=torch.where(mirrored[:, None, None, None], images.flip(-1), images))
