"""FDA: the source is learned in the target's low frequencies, and the target by its entropy and a teacher."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from adapters.segment.domains.base import Losses
from adapters.segment.domains.entropy import robust_entropy
from adapters.segment.domains.mean_teacher import MeanTeacher, MeanTeacherParams
from studio.core.registry import register
from studio.core.streams import Batch, Step, StreamBatches
from studio.data.looks.fda import fda


class FdaParams(MeanTeacherParams):
    bands: list[Annotated[float, Field(ge=0, le=0.5)]] = Field(
        [0.01, 0.05, 0.09],
        min_length=1,
        max_length=8,
        description="shares of the image's side up to which frequencies are swapped; a batch takes one of them",
    )
    entropy: float = Field(0.005, ge=0, le=10, description="weight of the target's entropy; 0 is off")
    eta: float = Field(2.0, gt=0, le=4, description="how much more unsure places count in that entropy")
    weight: float = Field(0.0, ge=0, le=100, description="weight of what is learned from the teacher's maps; 0 is off")


@register("segment/fda")
class Fda(MeanTeacher):
    """Source images with the low-frequency amplitudes of target images (studio.data.looks.fda), and a robust entropy.

    With `weight` the network also learns the maps of a teacher (self-training, section 3.3). There the teacher is the
    mean of three networks, each of one band, trained in rounds; here it is the running average of one that sees all
    `bands`.
    """

    title = "FDA (masks)"
    paper = "Yang and Soatto 2020, FDA: Fourier Domain Adaptation for Semantic Segmentation"
    Params = FdaParams

    def seen(self, batch: StreamBatches) -> Batch:
        band = self.params.bands[int(torch.randint(len(self.params.bands), ()))]
        return batch.source.replaced(images=self.restyled(batch.source.images, batch.target.images, band))

    def restyled(self, source: Tensor, target: Tensor, band: float) -> Tensor:
        """Source images in the look of target images in a random order, both normalised [B, 3, H, W]."""
        lent = target[torch.randint(len(target), (len(source),)).to(target.device)]
        pairs = zip(self.colours.shown(source), self.colours.shown(lent), strict=True)
        return self.colours.normalized(torch.stack([fda(image, other, band) for image, other in pairs]))

    def adapt(self, batch: StreamBatches, at: Step) -> Losses:
        losses, logged = super().adapt(batch, at)
        if self.params.entropy:
            unsure = robust_entropy(self.network.predict(batch.target.images), self.params.eta)
            losses["entropy"] = self.params.entropy * batch.target.mean(unsure)
        return losses, logged
