"""pix2pix: from pairs, by the difference of pixels and by what a discriminator says of input and output together."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from adapters.translate.base import Losses, Translator, TranslatorParams
from studio.core.registry import register
from studio.core.streams import Batch, Step, Train


class Pix2PixParams(TranslatorParams):
    generator: Literal["resnet", "unet"] = Field("unet", description="the network that translates")
    gan: Literal["lsgan", "hinge", "vanilla"] = Field(
        "vanilla", description="what the two want of each other: squares, hinge or logarithms"
    )
    l1: float = Field(100.0, ge=0, le=1000, description="weight of the difference of pixels")
    adversary: float = Field(1.0, ge=0, le=100, description="weight of the discriminator; 0 leaves the pixels alone")


@register("translate/pix2pix")
class Pix2Pix(Translator):
    """G minimises log-likelihood of being taken for real, given the input, and lambda times the L1 difference.

    Isola et al. 2017, equations 1, 3 and 4, with lambda 100 (section 3.1). Noise comes by dropout alone (3.2).
    """

    title = "pix2pix"
    paper = "Isola et al. 2017, Image-to-Image Translation with Conditional Adversarial Networks"
    formula = (
        r"\min_G \max_D \; \mathbb{E}[\log D(x, y)] + \mathbb{E}[\log(1 "
        r"- D(x, G(x)))] + \lambda \, \mathbb{E} \lVert y - G(x) \rVert_1"
    )
    uses = ("data.train", "model.image_size", "train.epochs", "train.lr")
    Params = Pix2PixParams
    streams = (Train,)
    paired = True

    def networks(self, image_size: int) -> dict[str, nn.Module]:
        return {"generator": self.make_generator(image_size), "discriminator": self.make_discriminator(channels=6)}

    def generate(self, batch: Batch, at: Step) -> Losses:
        fake = self.made.keep("generator", batch.images, self.predict(batch.images), at)
        losses = {"l1": self.params.l1 * l1_loss(fake, batch.targets)}
        if self.params.adversary:
            fooled = self.fool(self.module["discriminator"], fake, batch, beside=batch.images)
            losses["fool"] = self.params.adversary * fooled
        return losses

    def discriminate(self, batch: Batch, at: Step) -> Losses:
        fake = self.made.take("generator", batch.images, at, self.predict)
        loss = self.tell_apart(self.module["discriminator"], batch.targets, fake, (batch, batch), beside=batch.images)
        return {"tell_apart": loss}

    def reals(self, batch: Batch) -> list[tuple[nn.Module, Tensor]]:
        return [(self.module["discriminator"], torch.cat([batch.images, batch.targets], dim=1))]
