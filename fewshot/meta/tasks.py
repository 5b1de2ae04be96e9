"""Tasks to train on, and pixels to draw them from: every image is decoded once and stays uint8 in memory."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fewshot.episodes import EpisodeSampler
from studio.core.errors import DataError
from studio.core.streams import Batch
from studio.data import Dataset
from studio.data.preprocess import Preprocess
from studio.data.transforms import augment

TURNS = 4
TRAIN, VAL, TUNE = 1, 2, 3  # streams of episodes beside the one that is scored, which is that of frozen heads


@dataclass(frozen=True)
class Pool:
    """Images in memory, and their classes.

    pixels uint8 [N, C, S, S], C = 1 where all images are grey; dataset the N images; turns: 4 where each class turned
    by a quarter is a class of its own, else 1. Image number i + N * r is image i turned r times.
    """

    pixels: Tensor
    dataset: Dataset
    turns: int = 1

    @property
    def labels(self) -> np.ndarray:
        """Class indices [N * turns]."""
        labels, count = self.dataset.labels, len(self.dataset.classes)
        return np.concatenate([np.where(labels >= 0, labels + turn * count, -1) for turn in range(self.turns)])

    @property
    def classes(self) -> list[str]:
        names = self.dataset.classes
        return names + [f"{name} {90 * turn}°" for turn in range(1, self.turns) for name in names]

    def __len__(self) -> int:
        return len(self.pixels) * self.turns

    def images(self, index: Tensor) -> Tensor:
        """Pixels uint8 [*index.shape, C, S, S] of image numbers."""
        flat = index.flatten()
        pixels = self.pixels[flat % len(self.pixels)]
        turned = flat // len(self.pixels)
        for turn in range(1, self.turns):
            rows = turned == turn
            pixels[rows] = pixels[rows].rot90(turn, (2, 3))
        return pixels.unflatten(0, index.shape)

    def sampler(self, ways: int, shots: int, queries: int, episodes: int, seed: int, stream: int = 0) -> EpisodeSampler:
        """Episodes of these images. Raises DataError for too few classes, or images of one."""
        self._check(shots, queries)
        return EpisodeSampler(
            self.labels, self.classes, ways=ways, shots=shots, queries=queries, episodes=episodes,
            seed=seed + 1_000_003 * stream,
        )  # fmt: skip

    def _check(self, shots: int, queries: int) -> None:
        """All classes need K + Q images, since a batch of tasks has one shape."""
        labels = self.dataset.labels
        counts = np.bincount(labels[labels >= 0], minlength=len(self.dataset.classes))
        few = np.flatnonzero((counts > 0) & (counts < shots + queries))
        if len(few):
            least = few[counts[few].argmin()]
            raise DataError(
                f"{self.dataset.spec}: class {self.dataset.classes[least]!r} has {counts[least]} images; an episode "
                f"takes {shots + queries} of a class ({shots} shots and {queries} queries). Lower eval.shots or "
                f"eval.queries, or add images ({len(few)} classes have too few)."
            )


class TaskBatches:
    """T tasks a step: {support [T, W, K, C, S, S], query [T, W, Q, C, S, S]}, normalised; a function of the step."""

    def __init__(
        self, pool: Pool, sampler: EpisodeSampler, preprocess: Preprocess, tasks: int, steps: int, crops: bool = False
    ) -> None:
        self.pool, self.sampler, self.preprocess = pool, sampler, preprocess
        self.tasks, self.steps_per_epoch, self.crops = tasks, steps, crops

    def batch(self, step: int) -> Batch:
        drawn = self.sampler.draw(step * self.tasks, self.tasks)
        images = self.pool.images(drawn.index)
        if self.crops:
            draw = torch.Generator().manual_seed(self.sampler.seed * 1_000_003 + step)
            images = augment(images.flatten(0, 2), self.preprocess, draw).unflatten(0, images.shape[:3])
        else:
            images = to_float(images, self.preprocess)
        return Batch(support=images[:, :, : drawn.shots], query=images[:, :, drawn.shots :])


def to_float(pixels: Tensor, preprocess: Preprocess) -> Tensor:
    """Pixels uint8 [..., C, S, S] as float32 with the backbone's mean and std.

    One channel stands for three equal ones: what comes out is the mean over the three normalised channels.
    """
    scale = 1 / (torch.tensor(preprocess.std, device=pixels.device) * 255)
    shift = torch.tensor(preprocess.mean, device=pixels.device) * 255 * scale
    if pixels.shape[-3] == 1:
        scale, shift = scale.mean(0, keepdim=True), shift.mean(0, keepdim=True)
    return pixels.float().mul_(scale.view(-1, 1, 1)).sub_(shift.view(-1, 1, 1))


def one_channel(pixels: Tensor) -> Tensor:
    """Pixels [N, 1, S, S] of [N, 3, S, S] where all images are grey, else as they are."""
    grey = all(torch.equal(pixels[:, 0], pixels[:, channel]) for channel in (1, 2))
    return pixels[:, :1].contiguous() if grey else pixels
