"""Batches of the streams that a deep alignment declares: the source with labels, the target without."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from adapters.align.task import AlignTrain
from studio.core.streams import Batch, Drawn, Source, Stream, StreamBatches, Target
from studio.data.augment.policies import rand_augment
from studio.data.looks.restyle import Restyle
from studio.data.preprocess import Preprocess
from studio.data.transforms import augment, normalize
from studio.engine.batches import centre, rows_in_turn
from studio.engine.decoded import Decoded

PLACE = {Source.name: 0, Target.name: 1}  # of a stream's draws, so that those of two streams differ


class AligningBatches:
    """The batch of a step depends on (seed, step) alone; an epoch is one pass over the first stream.

    Of the source: images [B, 3, H, W], labels [B], and domains [B] where it is of several. Of the target: images, index
    [B] among its images, and with `strong` the same images changed much (Cubuk et al. 2020).
    """

    def __init__(
        self, streams: Sequence[Stream], source: Decoded | None, target: Decoded, preprocess: Preprocess,
        settings: AlignTrain, strong: bool = False, domains: np.ndarray | None = None,
        restyle: Restyle | None = None,
    ) -> None:  # fmt: skip
        self.streams, self.source, self.target, self.strong = streams, source, target, strong
        self.preprocess, self.settings, self.domains, self.restyle = preprocess, settings, domains, restyle
        first = self._of(streams[0].name)
        self.batch_size = min(settings.batch_size, len(first.dataset))
        self.steps_per_epoch = max(1, len(first.dataset) // self.batch_size)

    def batch(self, step: int) -> Drawn:
        parts = {stream.name: self._part(stream, step) for stream in self.streams}
        return next(iter(parts.values())) if len(parts) == 1 else StreamBatches(**parts)

    def _of(self, stream: str) -> Decoded:
        split = self.source if stream == Source.name else self.target
        assert split is not None
        return split

    def _part(self, stream: Stream, step: int) -> Batch:
        split, number = self._of(stream.name), PLACE[stream.name]
        size = min(self.settings.batch_size, len(split.dataset))
        rows = rows_in_turn(len(split.dataset), size, step, self.settings.seed, number)
        draw = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + step + number * 500_009)
        pixels = torch.from_numpy(np.ascontiguousarray(split.pixels[rows]))
        if self.restyle is not None and stream.name == Source.name:
            pixels = self.restyle(pixels, draw)
        tensors = {"images": self._weak(pixels, draw)}
        if not stream.blind:
            tensors["labels"] = torch.from_numpy(split.dataset.labels[rows])
            if self.domains is not None:
                tensors["domains"] = torch.from_numpy(self.domains[rows])
            return Batch(**tensors)
        tensors["index"] = torch.from_numpy(rows)
        if self.strong:
            tensors["strong"] = self._weak(rand_augment(pixels, draw), draw)
        return Batch(**tensors)

    def _weak(self, pixels: Tensor, draw: torch.Generator) -> Tensor:
        if self.settings.augment == "none":
            return normalize(centre(pixels, self.preprocess.image_size), self.preprocess)
        return augment(pixels, self.preprocess, draw, self.settings.crop, mirror=self.settings.augment == "flip")
