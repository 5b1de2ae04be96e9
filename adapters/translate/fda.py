"""FDA: the lowest frequencies of an image get the amplitudes that the target's images have."""

import torch
from pydantic import Field
from torch import Tensor

from adapters.translate.style.base import Stylist, blended
from studio.core.registry import Params, register
from studio.data.looks.fda import half_width, low_amplitudes, with_low_amplitudes


class FdaParams(Params):
    beta: float = Field(0.05, ge=0, le=0.5, description="half the window of frequencies, as a share of the short side")


@register("translate/fda")
class Fda(Stylist):
    """Low amplitudes of the spectrum become those of the target, phases stay (equations 2 and 3).

    Where the paper draws an image of the target each time, a stored translator has the mean amplitudes of all. A
    frequency is counted in waves over the image, so that images of every size can be translated.
    """

    title = "Fourier domain adaptation"
    paper = "Yang and Soatto 2020, FDA: Fourier Domain Adaptation for Semantic Segmentation"
    Params = FdaParams
    own_size = True

    def learn_style(self, images: list[Tensor]) -> None:
        half = min(half_width(image.shape[-2:], self.params.beta) for image in images)
        self.keep(amplitudes=torch.stack([low_amplitudes(image, half) for image in images]).mean(0))

    def stylize(self, images: Tensor, strength: float = 1.0) -> Tensor:
        amplitudes = self.module.amplitudes
        made = torch.stack([with_low_amplitudes(image, amplitudes) for image in images])
        return blended(images, made, strength)
