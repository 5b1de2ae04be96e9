"""Fast style: a network learns to do in one look what optimised pixels take minutes for; one network a style."""

from collections.abc import Callable
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from adapters.backbones.seeds import seeded
from adapters.translate.gatys import Gatys, StyleParams
from adapters.translate.losses.temporal import drawn_shift, temporal_loss
from adapters.translate.networks.generators import ResNetGenerator
from adapters.translate.style.base import at_multiple, blended
from adapters.translate.style.losses import content_loss, gram, style_loss, total_variation
from studio.core.faces import LearnerContext
from studio.core.phases import ALL, Optimizer
from studio.core.registry import register
from studio.core.streams import Batch, Step

TRAIN_KEYS = (
    "epochs", "minutes", "batch_size", "lr", "clip", "seed", "precision", "max_steps", "workers", "micro_batch",
    "compile", "processes", "checkpoint_every_s", "augment", "zoom",
)  # fmt: skip


class FastStyleParams(StyleParams):
    width: int = Field(32, ge=4, le=256, description="channels at full size; fewer are quicker")
    blocks: int = Field(5, ge=1, le=16, description="residual blocks")
    temporal: float = Field(
        0.0, ge=0, le=1000, description="weight of the difference between a moved output and the output of the moved"
    )


@register("translate/fast-style")
class FastStyle(Gatys):
    """A residual network minimises the perceptual losses of Gatys et al. over data.source (equations 2-5, section 3).

    With instance normalisation in place of batch normalisation (Ulyanov et al. 2016), resize-convolutions, and the
    layers' weights of style/losses.py. `temporal` steadies films without a flow network: the output of a moved image
    is to be the moved output.
    """

    title = "Fast style"
    paper = "Johnson, Alahi, Fei-Fei 2016, Perceptual Losses for Real-Time Style Transfer and Super-Resolution, ECCV"
    uses = ("data.target", "data.source", "model.image_size", "train.epochs", "train.lr")
    train_keys = TRAIN_KEYS
    Params = FastStyleParams
    trains = True
    any_style = False
    multiple = stride = ResNetGenerator.stride

    def setup(self, context: LearnerContext) -> nn.Module:
        with seeded(context.seed):
            self.module = nn.ModuleDict({"generator": ResNetGenerator(self.params.width, self.params.blocks)})
        return self.module

    def losses(self, batch: Batch, at: Step) -> dict[str, Tensor]:
        images, params = (batch.images + 1) / 2, self.params
        made = self._made(images)
        style, content = self.features(made)
        with torch.no_grad():
            _, wanted = self.features(images)
        losses = {
            "style": params.style * style_loss([gram(layer) for layer in style], self.grams).mean(),
            "content": params.content * content_loss(content, wanted).mean(),
            "smooth": params.smooth * total_variation(made).mean(),
        }
        if params.temporal:
            shift = drawn_shift(images, at.step)
            losses["temporal"] = params.temporal * temporal_loss(self._made, images, made, shift)
        return losses

    def _made(self, images: Tensor) -> Tensor:
        return (self.module["generator"](images * 2 - 1) + 1) / 2

    def stylize(self, images: Tensor, strength: float = 1.0) -> Tensor:
        made = self._made(at_multiple(images, self.multiple))
        return blended(images, made[..., : images.shape[-2], : images.shape[-1]], strength)

    def predict(self, images: Tensor) -> Tensor:
        """Images in -1..1, for export."""
        return self.module["generator"](images)

    def optimizers(self, lr: float, weight_decay: float) -> dict[str, Optimizer]:
        adam: Callable[..., Any] = torch.optim.Adam
        return {ALL: Optimizer([{"params": list(self.module.parameters()), "lr": lr}], adam)}
