"""Augmented batches: crops of pairs, cut alike, or crops of two looks that have nothing to do with each other."""

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode, functional

from adapters.translate.data.decoded import Looks
from adapters.translate.task import TranslateTrain
from studio.core.streams import Batch, StreamBatches

Window = tuple[int, int, int]  # top, left, side


class PairBatches:
    """The batch of a step depends on (seed, step) alone: images and targets float32 [B, 3, S, S] in -1..1."""

    def __init__(self, pairs: Looks, side: int, settings: TranslateTrain) -> None:
        self.pairs, self.side, self.settings = pairs, side, settings
        self.batch_size = min(settings.batch_size, len(pairs))
        self.steps_per_epoch = settings.repeat * max(1, len(pairs) // self.batch_size)

    def batch(self, step: int) -> Batch:
        draw = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + step)
        rows = rows_of_step(len(self.pairs), self.batch_size, step, (self.settings.seed,))
        images, targets = [], []
        for row in rows:
            image, target = self.pairs.images[row], self.pairs.pairs[row]
            window, mirrored = chosen_window(image, self.side, self.settings, draw)
            images.append(cut(image, window, self.side, mirrored))
            targets.append(cut(target, window, self.side, mirrored))
        return Batch(images=to_signed(torch.stack(images)), targets=to_signed(torch.stack(targets)))


class LookBatches:
    """Batches of two looks, source and target, each images float32 [B, 3, S, S] in -1..1, drawn apart.

    An epoch is a pass over the larger; of the smaller, rows come round again. As `PairBatches`, a function of the step.
    """

    def __init__(self, source: Looks, target: Looks, side: int, settings: TranslateTrain) -> None:
        self.looks, self.side, self.settings = {"source": source, "target": target}, side, settings
        self.batch_size = min(settings.batch_size, len(source), len(target))
        self.steps_per_epoch = settings.repeat * max(1, max(len(source), len(target)) // self.batch_size)

    def batch(self, step: int) -> StreamBatches:
        return StreamBatches(**{name: self._of(name, number, step) for number, name in enumerate(self.looks)})

    def _of(self, name: str, number: int, step: int) -> Batch:
        draw = torch.Generator().manual_seed((self.settings.seed * 1_000_003 + step) * 2 + number)
        look, images = self.looks[name], []
        for row in rows_of_step(len(look), self.batch_size, step, (self.settings.seed, number)):
            window, mirrored = chosen_window(look.images[row], self.side, self.settings, draw)
            images.append(cut(look.images[row], window, self.side, mirrored))
        return Batch(images=to_signed(torch.stack(images)))


class PhotoBatches(LookBatches):
    """Batches of the source alone: images float32 [B, 3, S, S] in -1..1."""

    def __init__(self, source: Looks, side: int, settings: TranslateTrain) -> None:
        super().__init__(source, source, side, settings)

    def batch(self, step: int) -> Batch:
        return self._of("source", 0, step)


def to_signed(pixels: Tensor) -> Tensor:
    """Bytes as float32 in -1..1."""
    return pixels.float().div_(127.5).sub_(1.0)


def to_bytes(images: Tensor) -> Tensor:
    """The inverse of `to_signed`, rounded."""
    return images.float().add(1.0).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def rows_of_step(count: int, batch: int, step: int, seed: tuple[int, ...]) -> list[int]:
    """Rows of a step: every image once in each pass over them, in an order of its own."""
    passes = count // batch
    epoch, place = divmod(step, passes)
    order = np.random.default_rng((*seed, epoch)).permutation(count)
    return order[place * batch : (place + 1) * batch].tolist()


def chosen_window(image: np.ndarray, side: int, settings: TranslateTrain, draw: torch.Generator) -> tuple[Window, bool]:
    """A square window of an image [3, h, w] that is brought to `side` pixels, and whether it is mirrored."""
    height, width = image.shape[-2:]
    zoom, down, right, flip = torch.rand(4, generator=draw).tolist()
    if settings.augment == "none":
        return ((height - side) // 2, (width - side) // 2, side), False
    length = max(1, round(side / settings.zoom**zoom))
    return (int(down * (height - length + 1)), int(right * (width - length + 1)), length), (
        settings.augment == "flip" and flip < 0.5
    )


def cut(image: np.ndarray, window: Window, side: int, mirrored: bool) -> Tensor:
    top, left, length = window
    crop = torch.from_numpy(image[:, top : top + length, left : left + length])
    if length != side:
        crop = functional.resize(crop, [side, side], InterpolationMode.BICUBIC, antialias=True)
    return crop.flip(-1) if mirrored else crop
