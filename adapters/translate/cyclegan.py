"""CycleGAN: both ways at once, without pairs; what goes there and back is to be as it was."""

from pydantic import Field
from torch import Tensor, nn

from adapters.translate.base import Losses, TranslatorParams, TwoWays
from adapters.translate.losses.pool import ImagePool
from studio.core.registry import register
from studio.core.streams import Step, StreamBatches


class CycleGanParams(TranslatorParams):
    cycle: float = Field(10.0, ge=0, le=1000, description="weight of the difference after the way there and back")
    identity: float = Field(
        0.5,
        ge=0,
        le=10,
        description="weight, in parts of cycle, of leaving images of the wanted look alone; keeps colours",
    )
    pool: int = Field(50, ge=0, le=1000, description="made images from before that the discriminator sees again")


@register("translate/cyclegan")
class CycleGan(TwoWays):
    """Two generators and two discriminators; F(G(x)) is to be x, and G(F(y)) y.

    Zhu et al. 2017: equations 1-3 with squares in the place of logarithms and a pool of 50 images (section 4), lambda
    10, identity loss of half of it (section 5.2).
    """

    title = "CycleGAN"
    paper = "Zhu et al. 2017, Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks"
    formula = r"L_{\mathrm{cyc}} = \mathbb{E} \lVert F(G(x)) - x \rVert_1 + \mathbb{E} \lVert G(F(y)) - y \rVert_1"
    Params = CycleGanParams

    def networks(self, image_size: int) -> dict[str, nn.Module]:
        pools = {name: ImagePool(self.params.pool, image_size) for name in ("pool", "pool_back")}
        return super().networks(image_size) | pools

    def generate(self, batch: StreamBatches, at: Step) -> Losses:
        source, target, net = batch.source, batch.target, self.module
        fake = self.made.keep("generator", source.images, self.predict(source.images), at)
        fake_back = self.made.keep("generator_back", target.images, self.predict_back(target.images), at)
        losses = {
            "fool": self.fool(net["discriminator"], fake, source),
            "fool_back": self.fool(net["discriminator_back"], fake_back, target),
            "cycle": self.params.cycle * source.mean((self.predict_back(fake) - source.images).abs()),
            "cycle_back": self.params.cycle * target.mean((self.predict(fake_back) - target.images).abs()),
        }
        return {**losses, **self.left_alone(batch), **self.beside(batch, fake, fake_back)}

    def left_alone(self, batch: StreamBatches) -> Losses:
        """The identity loss of both generators, whose images have the wanted look already; nothing at weight 0."""
        weight, source, target = self.params.cycle * self.params.identity, batch.source, batch.target
        if not weight:
            return {}
        changed = target.mean((self.predict(target.images) - target.images).abs())
        changed = changed + source.mean((self.predict_back(source.images) - source.images).abs())
        return {"identity": weight * changed}

    def beside(self, batch: StreamBatches, fake: Tensor, fake_back: Tensor) -> Losses:
        """What else the generators minimise of what they made of both looks, for methods that go on from this one."""
        return {}

    def discriminate(self, batch: StreamBatches, at: Step) -> Losses:
        net = self.module
        fake = net["pool"](self.made.take("generator", batch.source.images, at, self.predict))
        fake_back = net["pool_back"](self.made.take("generator_back", batch.target.images, at, self.predict_back))
        return self.told_apart(batch, fake, fake_back)
