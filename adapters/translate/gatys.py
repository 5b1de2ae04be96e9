"""Gatys: the pixels of an image are optimised until its features have the style."""

from typing import Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor

from adapters.translate.style.base import Stylist, blended
from adapters.translate.style.feature_maps import StyleFeatures, refuse_unfit, style_features
from adapters.translate.style.hed_weights import SPEC
from adapters.translate.style.losses import gram, style_loss
from adapters.translate.style.optimize import Weights, optimize_pixels
from studio.core.registry import Params, register


class StyleParams(Params):
    features: str = Field(
        SPEC, description=f"network that sees style: {SPEC}, timm/vgg16.tv_in1k, timm/vgg19.tv_in1k or another backbone"
    )
    style: float = Field(1.0, ge=0, le=1000, description="weight of the style")
    content: float = Field(0.02, ge=0, le=1000, description="weight of the content")
    smooth: float = Field(0.0, ge=0, le=1000, description="weight of the difference of neighbouring pixels")

    @field_validator("features")
    @classmethod
    def _fit(cls, spec: str) -> str:
        refuse_unfit(spec)
        return spec

    def backbone_names(self) -> list[str]:
        return [self.features]


class GatysParams(StyleParams):
    steps: int = Field(120, ge=1, le=10_000, description="steps for each image")
    optimizer: Literal["adam", "lbfgs"] = Field("adam", description="what moves the pixels")
    lr: float = Field(0.02, gt=0, le=1, description="learning rate of Adam, in parts of the range of a pixel")
    start: Literal["content", "noise"] = Field("content", description="what the pixels begin as")


@register("translate/gatys")
class Gatys(Stylist):
    """Minimises over pixels alpha times the content loss (eq. 1) and beta times that of Gram matrices (eq. 3-5).

    Layers conv1_1 to conv5_1 for style and conv4_2 for content, as in section 3; each image takes its own optimisation,
    seconds to minutes. The weights of layers are such that all count alike (see style/losses.py).
    """

    title = "Optimised pixels"
    paper = "Gatys, Ecker, Bethge 2016, Image Style Transfer Using Convolutional Neural Networks, CVPR"
    formula = (
        r"L = \alpha \sum_{ij} (F_{ij} - P_{ij})^2 + \beta \sum_l "
        r"w_l \lVert G^l - A^l \rVert_F^2, \qquad G = F F^\top"
    )
    Params = GatysParams
    _features: StyleFeatures | None = None

    @property
    def features(self) -> StyleFeatures:
        """The network, loaded when it is first asked; no part of what is stored."""
        if self._features is None:
            self._features = style_features(self.params.features)
        return self._features.to(next(iter(self.module.buffers()), torch.zeros(())).device)

    @torch.no_grad()
    def learn_style(self, images: list[Tensor]) -> None:
        grams = [[gram(layer) for layer in self.features(image[None])[0]] for image in images]
        layers = [torch.stack(layer).mean(0) for layer in zip(*grams, strict=True)]
        self.keep(**{f"gram_{number}": layer for number, layer in enumerate(layers)})

    @property
    def grams(self) -> list[Tensor]:
        """Of the style, layer by layer; the mean of several images'."""
        return [tensor for name, tensor in self.module.named_buffers() if name.startswith("gram_")]

    def style_loss_of(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            return style_loss([gram(layer) for layer in self.features(images)[0]], self.grams)

    def stylize(self, images: Tensor, strength: float = 1.0) -> Tensor:
        params = self.params
        start = images
        if params.start == "noise":
            start = torch.rand(images.shape, generator=torch.Generator().manual_seed(0)).to(images)
        weights = Weights(params.style, params.content, params.smooth)
        with torch.inference_mode(False), torch.enable_grad():
            made = optimize_pixels(
                start.clone(), images.clone(), [layer.clone() for layer in self.grams], self.features, weights,
                params.steps, params.optimizer, params.lr,
            )  # fmt: skip
        return blended(images, made, strength)
