"""Images with things on their way to a network: squashed to squares, a mask for each thing, augmented together."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torchvision.transforms.v2 import InterpolationMode, functional
from torchvision.tv_tensors import Image, Mask

from adapters.segment.data.transforms import cropped, distort, mirrored, window
from adapters.segment.task import SegmentTrain
from studio.core.errors import DataError
from studio.core.procedure import Job
from studio.core.streams import Batch
from studio.data.items import Dataset, Item
from studio.data.masks.class_map import VOID, things_of
from studio.data.masks.instances import Instances
from studio.data.preprocess import Preprocess
from studio.data.transforms import normalize
from studio.engine.decoded import decode_split
from studio.figures.masks import GROUND

LEAST = 4  # pixels of a thing that are enough to learn it from


@dataclass
class ThingSplit:
    """A decoded split: pixels uint8 [N, 3, S, S], and of each image its things in its own pixels."""

    pixels: Any
    truths: list[Instances]
    dataset: Dataset

    def things(self, row: int) -> tuple[Tensor, Tensor]:
        """Masks uint8 [M, S, S] and labels int64 [M] of an image, at the size of its pixels."""
        truth, side = self.truths[row], self.pixels.shape[-1]
        if not len(truth):
            return torch.zeros(0, side, side, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64)
        masks = [torch.from_numpy(truth.inside(number)[None].astype(np.uint8)) for number in range(len(truth))]
        small = [functional.resize(mask, [side, side], InterpolationMode.NEAREST_EXACT) for mask in masks]
        return torch.cat(small), torch.from_numpy(truth.labels)


def thing_classes(classes: list[str]) -> list[str]:
    """The classes of things: all but a background that comes first."""
    return classes[1:] if classes[0].casefold() == GROUND else classes


def decode_things(job: Job, dataset: Dataset, preprocess: Preprocess, what: str) -> ThingSplit:
    """The images that can be read, with their things. Raises DataError where no image shows any."""
    decoded = decode_split(job, dataset, preprocess, what)
    names = thing_classes(dataset.classes)
    shift = len(dataset.classes) - len(names)
    truths = [_instances(item, shift) for item in decoded.dataset.items]
    if not any(map(len, truths)):
        raise DataError(f"data.{what}: the masks of {dataset.spec} show nothing but {dataset.classes[0]!r}.")
    return ThingSplit(decoded.pixels, truths, replace(decoded.dataset, classes=names))


def _instances(item: Item, shift: int) -> Instances:
    assert item.mask is not None  # resolve_mask_splits has seen to it
    height, width = item.mask.read().shape
    things = [(label - shift, inside) for label, inside in things_of(item.mask) if shift <= label < VOID]
    return Instances.of(things, (width, height))


class ThingBatches:
    """The batch of a step depends on (seed, step) alone: images [B, 3, S, S], masks uint8 [B, M, S, S], boxes [B, M, 4]
    and labels [B, M], -1 where padded."""

    def __init__(self, split: ThingSplit, preprocess: Preprocess, settings: SegmentTrain) -> None:
        self.split, self.preprocess, self.settings = split, preprocess, settings
        self.batch_size = min(settings.batch_size, len(split.truths))
        self.steps_per_epoch = max(1, len(split.truths) // self.batch_size)

    def batch(self, step: int) -> Batch:
        epoch, place = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng((self.settings.seed, epoch)).permutation(len(self.split.truths))
        rows = order[place * self.batch_size : (place + 1) * self.batch_size].tolist()
        draw = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + step)
        images, masks, labels = zip(*(self._one(row, draw) for row in rows), strict=True)
        boxes = [boxes_around(shown) for shown in masks]
        return Batch(
            images=normalize(torch.stack(images), self.preprocess), masks=pad_sequence(masks, batch_first=True),
            boxes=pad_sequence(boxes, batch_first=True),
            labels=pad_sequence(labels, batch_first=True, padding_value=-1),
        )  # fmt: skip

    def _one(self, row: int, draw: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        pixels = torch.from_numpy(np.ascontiguousarray(self.split.pixels[row]))
        masks, labels = self.split.things(row)
        side, kind = pixels.shape[-1], self.settings.augment
        if kind != "none":
            chosen = window((side, side), side, self.settings.zoom, draw)
            pixels, masks = cropped(Image(pixels), Mask(masks), chosen, side)
        if kind in ("flip", "distort") and torch.rand((), generator=draw) < 0.5:
            pixels, masks = mirrored(pixels, masks)
        if kind == "distort":
            pixels = distort(pixels, draw)
        masks = masks.as_subclass(Tensor)
        kept = masks.flatten(1).sum(dim=1) >= LEAST
        return pixels.as_subclass(Tensor), masks[kept], labels[kept]


def boxes_around(masks: Tensor) -> Tensor:
    """Boxes xyxy float32 [M, 4] around masks uint8 [M, S, S], none of which is empty."""
    from torchvision.ops import masks_to_boxes

    if not len(masks):
        return torch.zeros(0, 4)
    return masks_to_boxes(masks) + torch.tensor([0.0, 0.0, 1.0, 1.0])
