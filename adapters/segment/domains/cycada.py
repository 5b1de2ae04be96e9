"""CyCADA: masks are learned from source images that a translator has given the target's look, and features are aligned.

The translator is a checkpoint of task translate, named in the source: `masks:day | translate:CHECKPOINT`.
"""

import torch
from torch import Tensor, nn

from adapters.segment.domains.adversarial import AdversarialParams, AdversarialSegmenter
from adapters.segment.domains.base import Losses
from adapters.segment.domains.encoders import encoder_of, last_map
from studio.core.faces import LearnerContext
from studio.core.registry import register
from studio.core.streams import Step, StreamBatches

SLOPE = 0.2  # of the leaky rectifiers


@register("segment/cycada")
class Cycada(AdversarialSegmenter):
    """Two levels, each alone if wanted: pixels by a translator, features by a discriminator.

    Pixels: data.source is `masks:day | translate:CHECKPOINT`, where translate/cyclegan or another has learned to bring
    the source's look to the target's (equations 2 and 3); its masks are learned from these images (equation 1).
    Features: a discriminator tells the encoder's last maps of the two apart at each place, and the network learns to
    deceive it (equation 5). The semantic consistency of equation 4 would be the translator's to learn; ours knows no
    classes, so it is left out.
    """

    title = "CyCADA"
    paper = "Hoffman et al. 2018, CyCADA: Cycle-Consistent Adversarial Domain Adaptation, ICML"
    Params = AdversarialParams

    def discriminator(self, context: LearnerContext) -> nn.Module:
        side = context.image_size
        with torch.no_grad():
            channels = self.told(torch.zeros(1, 3, side, side)).shape[1]
        return PlaceDiscriminator(channels, self.params.width)

    def told(self, images: Tensor) -> Tensor:
        return last_map(encoder_of(self.network, "adversary")(images)).float()

    def adapt(self, batch: StreamBatches, at: Step) -> Losses:
        if not self.params.adversary:
            return {}, {}
        return self.deceiving(batch, self.told(batch.target.images)), {}


class PlaceDiscriminator(nn.Sequential):
    """Features [B, D, h, w] -> logits [B, 1, h, w]: three layers at each place."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(
            nn.Conv2d(channels, width, 1), nn.LeakyReLU(SLOPE),
            nn.Conv2d(width, 2 * width, 1), nn.LeakyReLU(SLOPE),
            nn.Conv2d(2 * width, 1, 1),
        )  # fmt: skip
