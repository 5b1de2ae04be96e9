"""Translating an image: at which size, which way, whole or through overlapping tiles."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from adapters.translate.base import Translator
from adapters.translate.data.batches import to_bytes, to_signed
from adapters.translate.film_filter import fading, tiles_along
from adapters.translate.task import TranslateData, TranslateEval


@dataclass(frozen=True)
class View:
    """How images are translated: the short side that they are brought to, a tile's side, backward or not, how much."""

    short: int
    tile: int = 512
    backward: bool = False
    strength: float = 1.0
    steady: float = 0.0

    @classmethod
    def of(cls, settings: TranslateEval, data: TranslateData, image_size: int) -> "View":
        short = settings.short_side or data.short_side or image_size
        return cls(short, settings.tile, settings.direction == "backward", settings.strength, settings.steady)


def translated(learner: Translator, pixels: Tensor, view: View) -> Tensor:
    """Images uint8 [B, 3, h, w] in the other look, uint8 of the same size; the learner in evaluation mode."""
    predict = learner.predict_back if view.backward else learner.predict
    images = to_signed(pixels)
    made = tiled(predict, images, view.tile, learner.stride)
    return to_bytes(images + view.strength * (made - images) if view.strength < 1 else made)


def tiled(predict: Callable[[Tensor], Tensor], images: Tensor, tile: int, stride: int) -> Tensor:
    """`predict` of images [B, 3, h, w], through tiles where they are larger than `tile` pixels a side.

    Tiles share a quarter of their side or more, and fade into each other there. What `predict` sees has sides in
    multiples of `stride`: images are continued by their last pixels for that.
    """
    height, width = images.shape[-2:]
    (tall, tops), (wide, lefts) = (tiles_along(length, tile, stride) for length in (height, width))
    images = pad(images, (0, max(0, wide - width), 0, max(0, tall - height)), mode="replicate")
    if len(tops) == len(lefts) == 1:
        return predict(images)[..., :height, :width]
    total, weights = torch.zeros_like(images), images.new_zeros(images.shape[-2:])
    down, right = (torch.from_numpy(fading(side)).to(images) for side in (tall, wide))
    fade = down[:, None] * right
    for top in tops:
        for left in lefts:
            place = (..., slice(top, top + tall), slice(left, left + wide))
            total[place] += fade * predict(images[place].contiguous())
            weights[place] += fade
    return total.div_(weights)[..., :height, :width]
