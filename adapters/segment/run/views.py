"""Looking at an image: at all of it or through a window that slides over it, mirrored, at several sizes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from adapters.backbones.pyramid_maps import resized
from adapters.segment.base import Segmenter
from adapters.segment.data.decoded import canvas
from adapters.segment.task import SegmentEval
from studio.data.preprocess import Preprocess
from studio.data.transforms import normalize

STEP = 2 / 3  # of a window's side, from one to the next
AT_ONCE = 8  # windows in one batch
STRIP = 2**26  # numbers of probabilities that are enlarged at once


@dataclass(frozen=True)
class Look:
    """How images are looked at when judging and predicting: the keys of `eval`, and the short side they are brought to.

    `slide`: through windows of `preprocess.image_size`; a network that takes no other size always does.
    """

    short: int
    mirror: bool = False
    scales: tuple[float, ...] = (1.0,)
    slide: bool = False

    @classmethod
    def of(cls, settings: SegmentEval, short: int) -> "Look":
        return cls(short, settings.mirror, tuple(settings.scales), settings.slide)


def probabilities(learner: Segmenter, images: Tensor, preprocess: Preprocess, look: Look) -> Tensor:
    """Probabilities [B, C, h, w] of images uint8 [B, 3, h, w], mean over all views; the learner in evaluation mode."""
    total, count = None, 0
    for scale in look.scales:
        view = images
        if scale != 1:
            width, height = canvas((images.shape[-1], images.shape[-2]), round(look.short * scale))
            view = functional.resize(images, [height, width], antialias=True)
        for flipped in (False, True) if look.mirror else (False,):
            found = _seen(learner, view.flip(-1) if flipped else view, preprocess, look)
            found = resized(found.flip(-1) if flipped else found, images.shape[-2:])
            total, count = found if total is None else total.add_(found), count + 1
    assert total is not None
    return total if count == 1 else total.div_(count)


def _seen(learner: Segmenter, pixels: Tensor, preprocess: Preprocess, look: Look) -> Tensor:
    side = preprocess.image_size
    whole = learner.any_size and not look.slide
    if whole or tuple(pixels.shape[-2:]) == (side, side):
        return _ask(learner, normalize(pixels, preprocess))
    return _windows(learner, pixels, preprocess, side)


def _ask(learner: Segmenter, images: Tensor) -> Tensor:
    """Probabilities at the size of the images [B, 3, h, w]."""
    return resized(learner.predict(images).float(), images.shape[-2:]).softmax(dim=1)


def _windows(learner: Segmenter, pixels: Tensor, preprocess: Preprocess, side: int) -> Tensor:
    """The mean over windows of `side` pixels, each two thirds of that from the last, that cover the images."""
    height, width = (max(length, side) for length in pixels.shape[-2:])
    if (height, width) != tuple(pixels.shape[-2:]):  # smaller than a window
        pixels = functional.resize(pixels, [height, width], antialias=True)
    total = hits = None
    for rows, columns in places(height, side, width):
        views = [pixels[..., top : top + side, left : left + side] for top, left in zip(rows, columns, strict=True)]
        found = _ask(learner, normalize(torch.cat(views), preprocess)).split(len(pixels))
        if total is None:
            total = found[0].new_zeros(len(pixels), found[0].shape[1], height, width)
            hits = found[0].new_zeros(height, width)
        for top, left, one in zip(rows, columns, found, strict=True):
            total[..., top : top + side, left : left + side] += one
            hits[top : top + side, left : left + side] += 1
    assert total is not None and hits is not None
    return total.div_(hits)


def places(height: int, side: int, width: int) -> Iterator[tuple[list[int], list[int]]]:
    """Tops and lefts of the windows, some at a time."""
    every = [(top, left) for top in _starts(height, side) for left in _starts(width, side)]
    for first in range(0, len(every), AT_ONCE):
        tops, lefts = zip(*every[first : first + AT_ONCE], strict=True)
        yield list(tops), list(lefts)


def _starts(length: int, side: int) -> list[int]:
    """Where windows begin: evenly, the first at 0 and the last at the end."""
    count = 1 if length <= side else 1 + int(np.ceil((length - side) / (side * STEP)))
    return [round(place * (length - side) / max(1, count - 1)) for place in range(count)]


def enlarged_maps(found: Tensor, sizes: Sequence[tuple[int, int]]) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each of probabilities [B, C, h, w] the class map uint8 [H, W] and how sure it is, float16 [H, W] in 0..1.

    At `sizes` (width, height), bilinear, by strips: an image of many pixels and classes never fills the memory.
    """
    return [_class_map(one, size) for one, size in zip(found, sizes, strict=True)]


def _class_map(found: Tensor, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    width, height = size
    rows = max(1, STRIP // (found.shape[0] * width))
    strips = [_strip(found, width, height, first, min(first + rows, height)) for first in range(0, height, rows)]
    sure, labels = zip(*(strip.max(dim=0) for strip in strips), strict=True)
    return (
        torch.cat(labels).to(torch.uint8).cpu().numpy(),
        torch.cat(sure).half().cpu().numpy(),
    )  # fmt: skip


def _strip(found: Tensor, width: int, height: int, first: int, last: int) -> Tensor:
    """Rows first..last of probabilities [C, h, w] enlarged to [C, height, width], as one call for all gives them."""
    at = (torch.arange(first, last, device=found.device) + 0.5) * (found.shape[1] / height) - 0.5
    at = at.clamp(0, found.shape[1] - 1)
    above = at.floor().long()
    below = (above + 1).clamp(max=found.shape[1] - 1)
    part = (at - above).view(1, -1, 1).to(found.dtype)
    lines = torch.lerp(found[:, above], found[:, below], part)
    return resized(lines[None], (last - first, width))[0]
