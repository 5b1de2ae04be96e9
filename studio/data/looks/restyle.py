"""Restyling: training images in the look of others, or rendered (fog, night, rain, sketch), a share anew at every step.

Nothing is moved, so boxes, masks and labels keep their places. Everything random comes from the
generator that is passed in.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from studio.data.looks.fda import fda
from studio.data.looks.fog import fog
from studio.data.looks.histogram import histogram, match_histogram
from studio.data.looks.mean_variance import match_mean_variance, statistics
from studio.data.looks.night import night
from studio.data.looks.rain import drawn_drops, rain
from studio.data.looks.reinhard import axis_statistics, reinhard
from studio.data.looks.sketch import sketch

BETA = 0.05  # of FDA, in the middle of the paper's 0.01, 0.05 and 0.09

Rendering = Callable[[Tensor, torch.Generator], Tensor]  # image [3, H, W] in 0..1 -> image, to be clipped
Matching = Callable[[Tensor, Tensor], Tensor]  # and an image whose look it gets


class Restyle:
    """Called on uint8 images [B, 3, H, W] with a generator: about `share` of them in another look, the rest as is."""

    def __init__(self, kind: str, share: float, references: Sequence[Tensor] = ()) -> None:
        """`kind` is in MATCHINGS, with `references` uint8 [3, h, w] of any size, or in RENDERINGS."""
        self.kind, self.share, self.references = kind, share, references

    def __call__(self, images: Tensor, draw: torch.Generator) -> Tensor:
        chosen = torch.rand(len(images), generator=draw) < self.share
        if not chosen.any():
            return images
        images = images.clone()
        for row in chosen.nonzero().flatten().tolist():
            image = self.one(images[row].float() / 255, draw)
            images[row] = (image.clamp(0, 1) * 255).round().to(torch.uint8)
        return images

    def one(self, image: Tensor, draw: torch.Generator) -> Tensor:
        """One image [3, H, W] in 0..1 in the other look; not clipped."""
        if self.kind in RENDERINGS:
            return RENDERINGS[self.kind](image, draw)
        reference = self.references[int(torch.randint(len(self.references), (), generator=draw))]
        return MATCHINGS[self.kind](image, reference.float() / 255)


def _between(low: float, high: float, draw: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=draw))


def _fog(image: Tensor, draw: torch.Generator) -> Tensor:
    return fog(image, _between(0.5, 3.0, draw))


def _night(image: Tensor, draw: torch.Generator) -> Tensor:
    grain = _between(0.0, 0.04, draw) * torch.randn(image.shape, generator=draw)
    return night(image, _between(0.02, 0.15, draw), _between(0.4, 0.9, draw), grain)


def _rain(image: Tensor, draw: torch.Generator) -> Tensor:
    height, width = image.shape[-2:]
    drops = drawn_drops(height, width, _between(0.002, 0.01, draw), draw)
    length = max(3, round(_between(0.04, 0.12, draw) * height))
    return rain(image, drops, _between(-0.4, 0.4, draw), length, _between(0.2, 1.0, draw))


def _sketch(image: Tensor, draw: torch.Generator) -> Tensor:
    side = min(image.shape[-2:])
    return sketch(image, _between(0.007, 0.016, draw) * side, _between(10.0, 30.0, draw))


def _fda(image: Tensor, reference: Tensor) -> Tensor:
    size = list(image.shape[-2:])
    return fda(image, functional.resize(reference, size, antialias=True), BETA)


RENDERINGS: dict[str, Rendering] = {"fog": _fog, "night": _night, "rain": _rain, "sketch": _sketch}
MATCHINGS: dict[str, Matching] = {
    "mean-variance": lambda image, reference: match_mean_variance(image, *statistics([reference])),
    "histogram": lambda image, reference: match_histogram(image, histogram([reference])),
    "reinhard": lambda image, reference: reinhard(image, *axis_statistics([reference])),
    "fda": _fda,
}
