"""Augmented batches of images with boxes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode, functional

from adapters.detect.data.mixing import BoxedImage, mosaic, paste
from adapters.detect.data.transforms import augment, disturb, pad, resized
from adapters.detect.task import DetectTrain
from studio.core.streams import Batch, StreamBatches
from studio.data.boxes import Boxes
from studio.data.looks.restyle import Restyle
from studio.data.preprocess import Preprocess
from studio.data.transforms import normalize
from studio.engine.batches import rows_in_turn

STRIDE = 32  # pixels: sides of inputs are multiples of it


def input_side(side: int, factor: float) -> int:
    """The multiple of 32 pixels that is nearest to `factor` times a side of inputs."""
    return max(STRIDE, round(side * factor / STRIDE) * STRIDE)


class BoxBatches:
    """The batch of a step depends on (seed, step) alone: images [B, 3, S, S], boxes [B, M, 4], labels [B, M].

    pixels uint8 [N, 3, S, S]; `boxes` in those pixels. Boxes to ignore are left out of what is learned. `domains` int64
    [N], where the images are of several, reach the batch as domains [B]: that of the image which a row began as.
    """

    def __init__(
        self, pixels: Any, boxes: Sequence[Boxes], preprocess: Preprocess, settings: DetectTrain,
        least_steps: int = 1, domains: np.ndarray | None = None, restyle: Restyle | None = None,
    ) -> None:  # fmt: skip
        """An epoch has at least `least_steps`: few images come several times."""
        self.pixels, self.boxes, self.preprocess, self.settings = pixels, boxes, preprocess, settings
        self.domains, self.restyle = domains, restyle
        self.batch_size = min(settings.batch_size, len(boxes))
        self.steps_per_epoch = max(least_steps, len(boxes) // self.batch_size)

    def batch(self, step: int) -> Batch:
        epoch, place = divmod(step, self.steps_per_epoch)
        order = self._order(epoch)
        draw = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + step)
        rows = order[place * self.batch_size : (place + 1) * self.batch_size]
        side = self._side(draw)
        images, boxes, labels = zip(*(self._one(int(row), side, draw) for row in rows), strict=True)
        corners, classes = pad(list(boxes), list(labels))
        more = {} if self.domains is None else {"domains": torch.from_numpy(self.domains[rows])}
        return Batch(images=normalize(torch.stack(images), self.preprocess), boxes=corners, labels=classes, **more)

    def _order(self, epoch: int) -> np.ndarray:
        """Rows of the images in an epoch: all come once before any comes again."""
        draw = np.random.default_rng((self.settings.seed, epoch))
        laps = -(-self.steps_per_epoch * self.batch_size // len(self.boxes))
        return np.concatenate([draw.permutation(len(self.boxes)) for _ in range(laps)])

    def _side(self, draw: torch.Generator) -> int:
        """Pixels of the inputs of one step: all the same, or a multiple of 32 around that (train.multi_scale)."""
        side, spread = self.pixels.shape[-1], self.settings.multi_scale
        if not spread:
            return side
        return input_side(side, 1 - spread + 2 * spread * float(torch.rand((), generator=draw)))

    def _one(self, row: int, side: int, draw: torch.Generator) -> BoxedImage:
        image = self._restyled(self._image(row), draw)
        settings = self.settings
        if settings.copy_paste and torch.rand((), generator=draw) < settings.copy_paste:
            other = int(torch.randint(len(self.boxes), (), generator=draw))
            image = paste(image, self._image(other), self._masks(other), draw)
        if settings.mosaic and torch.rand((), generator=draw) < settings.mosaic:
            others = torch.randint(len(self.boxes), (3,), generator=draw).tolist()
            image = mosaic([image, *map(self._image, others)], draw)
        if settings.augment == "none":
            return resized(image, side)
        flip = settings.augment == "flip"
        return augment(*image, side, draw, settings.crop, mirror=flip, colour=flip)

    def _image(self, row: int) -> BoxedImage:
        """An image as it is, with the boxes that are learned."""
        wanted = ~self.boxes[row].ignore
        return (
            torch.from_numpy(np.ascontiguousarray(self.pixels[row])),
            torch.from_numpy(self.boxes[row].xyxy[wanted]),
            torch.from_numpy(self.boxes[row].labels[wanted]),
        )

    def _restyled(self, image: BoxedImage, draw: torch.Generator) -> BoxedImage:
        """The image in another look, as train.restyle has it; boxes keep their places."""
        pixels, *truth = image
        return image if self.restyle is None else (self.restyle(pixels[None], draw)[0], *truth)

    def _masks(self, row: int) -> Tensor | None:
        """Masks bool [N, S, S] of the boxes that are learned; None where the data has none."""
        boxes = self.boxes[row].rows(~self.boxes[row].ignore)
        if boxes.masks is None:
            return None
        size = list(self.pixels.shape[-2:])
        inked = torch.from_numpy(boxes.masks())
        return functional.resize(inked.float(), size, InterpolationMode.NEAREST_EXACT) > 0.5


class DomainBatches:
    """Batches of a source, beside as many images of a target, of which nothing but pixels and domains is known.

    Those of the target have images [B, 3, S, S], cropped and mirrored, and strong [B, 3, S, S], the same with colours
    and sharpness changed and parts hidden. `pixels` uint8 [N, 3, S, S] are the target's; `domains` int64 [N], where it
    has several, reach its batch as domains [B].
    """

    def __init__(self, source: BoxBatches, pixels: Any, domains: np.ndarray | None = None) -> None:
        self.source, self.pixels, self.domains = source, pixels, domains
        self.batch_size, self.steps_per_epoch = source.batch_size, source.steps_per_epoch

    def batch(self, step: int) -> StreamBatches:
        settings, preprocess = self.source.settings, self.source.preprocess
        draw = torch.Generator().manual_seed(settings.seed * 1_000_003 + step + 500_009)
        rows = rows_in_turn(len(self.pixels), self.batch_size, step, settings.seed, 1)
        weak = [self._weak(int(row), draw) for row in rows]
        strong = [disturb(pixels, draw) for pixels in weak]
        more = {} if self.domains is None else {"domains": torch.from_numpy(self.domains[rows])}
        target = Batch(
            images=normalize(torch.stack(weak), preprocess), strong=normalize(torch.stack(strong), preprocess), **more
        )
        return StreamBatches(source=self.source.batch(step), target=target)

    def _weak(self, row: int, draw: torch.Generator) -> Tensor:
        pixels = torch.from_numpy(np.ascontiguousarray(self.pixels[row]))
        settings = self.source.settings
        if settings.augment == "none":
            return pixels
        mirror = settings.augment == "flip"
        none = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)
        return augment(pixels, *none, pixels.shape[-1], draw, settings.crop, mirror=mirror, colour=False)[0]
