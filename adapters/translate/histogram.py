"""Histogram matching and its plainer relatives: the colours of other images, without a network."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from adapters.translate.style.base import Stylist, blended
from studio.core.registry import Params, register
from studio.data.looks.histogram import histogram, match_histogram
from studio.data.looks.mean_variance import match_mean_variance, statistics
from studio.data.looks.reinhard import axis_statistics, reinhard


class HistogramParams(Params):
    match: Literal["histogram", "mean-variance", "reinhard"] = Field(
        "histogram",
        description="what becomes equal: the histogram of each channel | its mean and variance | those along the axes "
        "of l-alpha-beta",
    )


@register("translate/histogram")
class HistogramMatching(Stylist):
    """Each channel gets the distribution that the pixels of the target's images have, y = G^-1(F(x)).

    Gonzalez and Woods, Digital Image Processing, section 3.3; or its mean and variance alone, in RGB or along the axes
    of Reinhard et al. 2001 (Color Transfer between Images), equations 10 and 11. What every network should be beside.
    """

    title = "Histogram matching"
    paper = "Reinhard et al. 2001, Color Transfer between Images; Gonzalez and Woods, Digital Image Processing"
    Params = HistogramParams
    own_size = True

    def learn_style(self, images: list[Tensor]) -> None:
        if self.params.match == "histogram":
            self.keep(histogram=histogram(images))
        else:
            mean, deviation = (statistics if self.params.match == "mean-variance" else axis_statistics)(images)
            self.keep(mean=mean, deviation=deviation)

    def stylize(self, images: Tensor, strength: float = 1.0) -> Tensor:
        return blended(images, torch.stack([self._matched(image) for image in images]), strength)

    def _matched(self, image: Tensor) -> Tensor:
        module = self.module
        if self.params.match == "histogram":
            return match_histogram(image, module.histogram.cpu())
        match = match_mean_variance if self.params.match == "mean-variance" else reinhard
        return match(image.cpu(), module.mean.cpu(), module.deviation.cpu()).to(image)
