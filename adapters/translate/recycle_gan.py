"""Recycle-GAN: the next frame, predicted in the other look and brought back, is to be the film's own next frame."""

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import Field
from torch import Tensor, nn

from adapters.translate.base import Losses
from adapters.translate.cyclegan import CycleGan, CycleGanParams
from adapters.translate.films.next_frame import NextFrame
from adapters.translate.losses.temporal import drawn_shift, temporal_loss
from studio.core.registry import register
from studio.core.streams import Batch, Step, StreamBatches


class RecycleGanParams(CycleGanParams):
    cycle: float = Field(0.0, ge=0, le=1000, description="weight of the difference after the way there and back")
    recurrent: float = Field(10.0, ge=0, le=1000, description="weight of predicting a film's next frame")
    recycle: float = Field(10.0, ge=0, le=1000, description="weight of the next frame that went through the other look")
    predictor_width: int = Field(32, ge=4, le=256, description="channels of the networks that predict, at full size")
    temporal: float = Field(
        0.0, ge=0, le=1000, description="weight of the difference between a moved output and the output of the moved"
    )


@register("translate/recycle-gan")
class RecycleGan(CycleGan):
    """Predictors P of both films minimise |x_3 - P_X(x_1, x_2)|^2 (recurrent loss, eq. 3), generators beside the
    contest |x_3 - F(P_Y(G(x_1), G(x_2)))|^2 (recycle loss, eq. 4), both with lambda 10 (eq. 5).

    The cycle and identity losses of CycleGAN are there and off, as in the paper. `temporal` is the flow-free loss of
    losses/temporal.py.
    """

    title = "Recycle-GAN"
    paper = "Bansal et al. 2018, Recycle-GAN: Unsupervised Video Retargeting, ECCV"
    Params = RecycleGanParams
    clips = True
    generating = ("generator", "generator_back", "predictor", "predictor_back")

    def networks(self, image_size: int) -> dict[str, nn.Module]:
        parts = super().networks(image_size)
        for name in ("predictor", "predictor_back"):
            parts[name] = NextFrame(self.params.predictor_width)
        return parts

    def generate(self, batch: StreamBatches, at: Step) -> Losses:
        params, losses = self.params, dict[str, Tensor]()
        for way in self.ways(batch):
            made = [self.made.keep(way.generator, way.clip.images, way.there(way.clip.images), at)]
            made.append(way.there(way.clip.following))
            losses[f"fool{way.ending}"] = self.fool(way.judge, made[0], way.clip)
            predicted = way.predict(way.clip.images, way.clip.following)
            losses[f"recurrent{way.ending}"] = params.recurrent * apart(way.clip, predicted, way.clip.last)
            returned = way.back(way.predict_there(*made))
            losses[f"recycle{way.ending}"] = params.recycle * apart(way.clip, returned, way.clip.last)
            if params.cycle:
                difference = (way.back(made[0]) - way.clip.images).abs()
                losses[f"cycle{way.ending}"] = params.cycle * way.clip.mean(difference)
            losses |= self.more(way, made, at)
        return losses | self.left_alone(batch)

    def more(self, way: "Way", made: list[Tensor], at: Step) -> Losses:
        """Losses of one way beside the paper's; `made` are the first two frames in the other look."""
        if not self.params.temporal:
            return {}
        shift = drawn_shift(way.clip.images, at.step)
        moved = temporal_loss(way.there, way.clip.images, made[0], shift)
        return {f"temporal{way.ending}": self.params.temporal * moved}

    def ways(self, batch: StreamBatches) -> "list[Way]":
        """From source to target, and back."""
        net = self.module
        predict, predict_back = net["predictor"], net["predictor_back"]
        return [
            Way("", "generator", batch.source, self.predict, self.predict_back, net["discriminator"], predict,
                predict_back),
            Way("_back", "generator_back", batch.target, self.predict_back, self.predict, net["discriminator_back"],
                predict_back, predict),
        ]  # fmt: skip


@dataclass(frozen=True)
class Way:
    """One of the two ways: a clip, the networks there and back, what judges there, what predicts here and there."""

    ending: str  # of the names of its losses
    generator: str  # the name of the network there
    clip: Batch
    there: Callable[[Tensor], Tensor]
    back: Callable[[Tensor], Tensor]
    judge: nn.Module
    predict: nn.Module
    predict_there: nn.Module


def apart(clip: Batch, images: Tensor, wanted: Tensor) -> Tensor:
    """The mean squared difference."""
    return clip.mean((images - wanted).square())
