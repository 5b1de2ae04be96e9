"""AdaIN: features get the statistics of a style's, and a decoder that has learned to draw draws them."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn.functional import interpolate

from adapters.backbones.seeds import seeded
from adapters.translate.fast_style import TRAIN_KEYS
from adapters.translate.style.base import Source, Stylist, at_multiple
from adapters.translate.style.feature_maps import refuse_unfit, vgg
from adapters.translate.style.hed_weights import SPEC
from adapters.translate.style.losses import adain, channel_statistics, renormalized, statistics_loss
from adapters.translate.style.vgg import WIDTHS, Vgg
from studio.core.faces import LearnerContext
from studio.core.phases import ALL, Optimizer
from studio.core.registry import Params, register
from studio.core.streams import Step, StreamBatches, Target

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")


class AdainParams(Params):
    features: str = Field(SPEC, description=f"the encoder: {SPEC}, timm/vgg16.tv_in1k or timm/vgg19.tv_in1k")
    style: float = Field(10.0, ge=0, le=1000, description="weight of the style loss")

    @field_validator("features")
    @classmethod
    def _fit(cls, spec: str) -> str:
        refuse_unfit(spec)
        return spec

    def backbone_names(self) -> list[str]:
        return [self.features]


class Decoder(nn.Module):
    """relu4_1 [B, C, h, w] -> images [B, 3, 8 h, 8 w]: the encoder in mirror image (section 6.1).

    Poolings become resizes to the nearest pixel, and paddings reflect, against checkerboards and dark rims.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS[3::-1]) -> None:
        super().__init__()
        wide, third, second, first = widths
        self.stages = nn.ModuleList(
            [
                nn.Sequential(_drawing(wide, third)),
                nn.Sequential(*(_drawing(third, third) for _ in range(2)), _drawing(third, second)),
                nn.Sequential(_drawing(second, second), _drawing(second, first)),
                nn.Sequential(_drawing(first, first), nn.Conv2d(first, 3, 3, padding=1, padding_mode="reflect")),
            ]
        )
        for layer in self.modules():  # else so many layers give one colour at first
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
        last = self.stages[-1][-1]
        nn.init.normal_(last.weight, std=0.01)  # it begins at grey, between black and white
        nn.init.constant_(last.bias, 0.5)

    def forward(self, features: Tensor) -> Tensor:
        for place, stage in enumerate(self.stages):
            if place:
                features = interpolate(features, scale_factor=2, mode="nearest")
            features = stage(features)
        return features


def _drawing(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inside, outside, 3, padding=1, padding_mode="reflect"), nn.ReLU(inplace=True))


@register("translate/adain")
class AdaIN(Stylist):
    """t = AdaIN(f(content), f(style)) (eq. 8); the decoder g is trained on |f(g(t)) - t|^2 and ten times the distance
    of means and deviations at four layers (eq. 11-13). At use any style does, between both by strength (eq. 14).

    Layers of the encoder are scaled to a mean activation of 1 (Gatys et al. 2016, section 2), which changes no
    direction of the losses and lets every VGG be used with the same weights.
    """

    title = "AdaIN"
    paper = "Huang and Belongie 2017, Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization, ICCV"
    formula = r"\mathrm{AdaIN}(x, y) = \sigma(y) \, \frac{x - \mu(x)}{\sigma(x)} + \mu(y)"
    uses = ("data.target", "data.source", "model.image_size", "train.epochs", "train.lr")
    train_keys = TRAIN_KEYS
    Params = AdainParams
    trains = True
    streams: ClassVar = (Source, Target)
    multiple = 8  # sides of images are multiples of it

    def setup(self, context: LearnerContext) -> nn.Module:
        spec = self.params.features
        encoder = vgg(spec, LAYERS[-1]) if context.training else Vgg(19 if "vgg19" in spec else 16, LAYERS[-1])
        with seeded(context.seed):
            self.module = nn.ModuleDict({"encoder": encoder, "decoder": Decoder()})
        return self.module

    def learn_style(self, images: list[Tensor]) -> None:
        encoder = self.module["encoder"]
        if not hasattr(self.module, "mean"):
            encoder.normalize(images)
        with torch.no_grad():
            statistics = [channel_statistics(self._maps(image[None])[-1]) for image in images]
        mean, deviation = (torch.stack(parts).mean(0) for parts in zip(*statistics, strict=True))
        self.keep(mean=mean, deviation=deviation)

    def losses(self, batch: StreamBatches, at: Step) -> dict[str, Tensor]:
        content, style = ((part.images + 1) / 2 for part in (batch.source, batch.target))
        with torch.no_grad():
            wanted = self._maps(style)
            target = adain(self._maps(content)[-1], wanted[-1])
        maps = self._maps(self.module["decoder"](target))
        return {
            "content": (maps[-1] - target).square().mean(),
            "style": self.params.style * statistics_loss(maps, wanted).mean(),
        }

    def stylize(self, images: Tensor, strength: float = 1.0) -> Tensor:
        features = self._maps(at_multiple(images, self.multiple))[-1]
        styled = renormalized(features, self.module.mean, self.module.deviation)
        mixed = strength * styled + (1 - strength) * features
        return self.module["decoder"](mixed)[..., : images.shape[-2], : images.shape[-1]].clamp(0, 1)

    def style_loss_of(self, images: Tensor) -> Tensor:
        """How far means and deviations at relu4_1 are from the style's."""
        with torch.no_grad():
            mean, deviation = channel_statistics(self._maps(images)[-1])
        wanted = self.module.mean, self.module.deviation
        return sum((a - b).square().mean((1, 2, 3)) for a, b in zip((mean, deviation), wanted, strict=True))

    def _maps(self, images: Tensor) -> list[Tensor]:
        maps = self.module["encoder"](images, LAYERS)
        return [maps[name] for name in LAYERS]

    def optimizers(self, lr: float, weight_decay: float) -> dict[str, Optimizer]:
        adam: Callable[..., Any] = torch.optim.Adam
        return {ALL: Optimizer([{"params": list(self.module["decoder"].parameters()), "lr": lr}], adam)}
