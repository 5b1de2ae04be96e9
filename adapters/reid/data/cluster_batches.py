"""Batches of several images of each of several clusters, which are found anew after each epoch."""

from collections.abc import Callable

import numpy as np
import torch

from adapters.reid.data.batches import IdentityBatches, planned
from adapters.reid.task import ReidTrain
from studio.core.streams import Batch
from studio.data.preprocess import Preprocess


class ClusterBatches(IdentityBatches):
    """images [B, 3, H, W], index [B] among the target's, cameras [B]; with `twice` `again`: the same, augmented anew.

    `labels()` are the clusters int64 [N] as they are now, -1 for images that stay out. They change at the end of an
    epoch, so batches wait for it; between that, a batch depends on (seed, step) alone. Never are there labels in it.
    """

    waits = True

    def __init__(
        self, pixels: np.ndarray, labels: Callable[[], np.ndarray], preprocess: Preprocess, settings: ReidTrain,
        cameras: np.ndarray, twice: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(pixels, np.arange(len(pixels)), preprocess, settings, cameras)
        self.clusters, self.twice = labels, twice
        self.most = settings.batch_size // self.each
        self.steps_per_epoch = max(1, len(pixels) // (self.most * self.each))

    def batch(self, step: int) -> Batch:
        epoch, place = divmod(step, self.steps_per_epoch)
        rows = self._plan(epoch)[place]
        draw = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + step)
        pixels = torch.from_numpy(np.ascontiguousarray(self.pixels[rows]))
        tensors = {"images": self.augmented(pixels, draw), "index": torch.from_numpy(rows)}
        if self.twice:
            tensors["again"] = self.augmented(pixels, draw)
        return Batch(**tensors, cameras=torch.from_numpy(self.cameras[rows]))

    def _planned(self, epoch: int) -> np.ndarray:
        labels = self.clusters()
        individuals = min(self.most, len(np.unique(labels[labels >= 0])))
        draw = np.random.default_rng((self.settings.seed, epoch))
        return planned(labels, individuals, self.each, self.steps_per_epoch, draw)
