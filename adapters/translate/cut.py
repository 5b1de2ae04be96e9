"""CUT: one way, without pairs; each place of what is made is to be known by the same place of its source."""

import torch
from pydantic import Field
from torch import Tensor, nn

from adapters.translate.base import Losses, Translator, TranslatorParams
from adapters.translate.losses.patch_nce import Projection, patch_nce, sampled_places
from studio.core.registry import register
from studio.core.streams import Batch, Step, StreamBatches


class CutParams(TranslatorParams):
    nce: float = Field(1.0, ge=0, le=100, description="weight of the contrast of places between source and made image")
    identity: float = Field(
        1.0, ge=0, le=100, description="weight of the same where the look is the wanted one already"
    )
    patches: int = Field(256, ge=2, le=4096, description="places of each map that are compared")
    temperature: float = Field(
        0.07, gt=0, le=10, description="of the contrast: smaller looks at the nearest places only"
    )
    flip: bool = Field(
        False, description="half of the time mirror what the generator sees, not what it is compared with"
    )


@register("translate/cut")
class Cut(Translator):
    """GAN + lambda_X PatchNCE(source) + lambda_Y PatchNCE(target), on five maps of the generator's own encoder.

    Park et al. 2020, equations 4-6: 256 places, temperature 0.07, both lambdas 1; no second generator, no pool.
    """

    title = "CUT"
    paper = "Park et al. 2020, Contrastive Learning for Unpaired Image-to-Image Translation"
    Params = CutParams
    generating = ("generator", "projection")

    def networks(self, image_size: int) -> dict[str, nn.Module]:
        generator = self.make_generator(image_size)
        return {
            "generator": generator,
            "discriminator": self.make_discriminator(),
            "projection": Projection(generator.tapped_channels),
        }

    def generate(self, batch: StreamBatches, at: Step) -> Losses:
        source, target = batch.source, batch.target
        mirrored = self.params.flip and bool(torch.rand(()) < 0.5)
        inputs = source.images.flip(3) if mirrored else source.images
        fake = self.made.keep("generator", source.images, self.predict(inputs), at)
        losses = {"fool": self.fool(self.module["discriminator"], fake, source)}
        if self.params.nce:
            losses["nce"] = self.params.nce * self.contrast(fake, source.images, source, mirrored)
        if self.params.identity:
            same = self.predict(target.images)
            losses["identity"] = self.params.identity * self.contrast(same, target.images, target)
        return losses

    def contrast(self, fake: Tensor, source: Tensor, batch: Batch, mirrored: bool = False) -> Tensor:
        """PatchNCE of images, mean over places and maps; `mirrored` where `fake` lies the other way round."""
        generator, project = self.module["generator"], self.module["projection"]
        maps = generator.tapped(fake)
        maps = [features.flip(3) for features in maps] if mirrored else maps
        places = sampled_places(maps, self.params.patches)
        with torch.no_grad():
            keys = project(generator.tapped(source), places)
        pairs = zip(project(maps, places), keys, strict=True)
        values = [batch.mean(patch_nce(query, key, self.params.temperature)) for query, key in pairs]
        return torch.stack(values).mean()

    def discriminate(self, batch: StreamBatches, at: Step) -> Losses:
        source, target = batch.source, batch.target
        fake = self.made.take("generator", source.images, at, self.predict)
        loss = self.tell_apart(self.module["discriminator"], target.images, fake, (target, source))
        return {"tell_apart": loss}

    def reals(self, batch: StreamBatches) -> list[tuple[nn.Module, Tensor]]:
        return [(self.module["discriminator"], batch.target.images)]
