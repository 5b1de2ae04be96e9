"""Batches of several sources: as many images of each, a pure function of the step."""

import numpy as np

from studio.core.sections import AugmentedTrain
from studio.core.streams import StreamBatches
from studio.data.domains import domain_ids
from studio.data.looks.restyle import Restyle
from studio.data.preprocess import Preprocess
from studio.engine.batches import TrainBatches
from studio.engine.decoded import Decoded


class SourceBatches:
    """`batch(step).sources`: for each domain of `split`, in its order, images [each, 3, H, W] and labels [each].

    An epoch is as many steps as show as many images as there are; a small source comes round more often.
    """

    def __init__(
        self,
        split: Decoded,
        each: int,
        preprocess: Preprocess,
        settings: AugmentedTrain,
        restyle: Restyle | None = None,
    ) -> None:
        domains, names = domain_ids(split.dataset.items)
        labels, classes = split.dataset.labels, len(split.dataset.classes)
        self.sources = []
        for place in range(len(names)):
            rows = np.flatnonzero(domains == place)
            own = settings.model_copy(update={"batch_size": each, "seed": settings.seed * len(names) + place})
            self.sources.append(
                TrainBatches(_Rows(split.pixels, rows), labels[rows], classes, preprocess, own, restyle=restyle)
            )
        self.batch_size = each * len(names)
        self.steps_per_epoch = max(1, len(labels) // self.batch_size)

    def batch(self, step: int) -> StreamBatches:
        return StreamBatches(sources=[source.batch(step) for source in self.sources])


class _Rows:
    """Some rows of pixels that may lie on disk, read when they are asked for."""

    def __init__(self, pixels: np.ndarray, rows: np.ndarray) -> None:
        self.pixels, self.rows = pixels, rows

    def __getitem__(self, chosen: np.ndarray) -> np.ndarray:
        return self.pixels[self.rows[chosen]]
