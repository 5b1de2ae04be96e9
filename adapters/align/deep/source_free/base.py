"""What source-free methods share: a trained network whose head stands still, and a memory of the target."""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from adapters.align.deep.base import DeepLearner, DeepParams, Losses, View
from adapters.finetune.full import decay_groups
from studio.core.faces import LearnerContext
from studio.core.streams import Batch, Step, Target
from studio.device.precision import full_precision


class SourceFreeParams(DeepParams):
    bottleneck_lr: float = Field(
        0.1,
        ge=0,
        le=10,
        description="learning rate of the bottleneck, as a multiple of train.lr: the checkpoint has learned it already",
    )


class SourceFree(DeepLearner):
    """Starts from `model.checkpoint`, learns from the target alone, and keeps the head as the source left it."""

    streams = (Target,)
    uses = (
        "data.target",
        "data.test",
        "model.checkpoint",
        "train.epochs",
        "train.lr",
        "eval.score",
        "eval.map",
        "eval.film",
    )
    Params = SourceFreeParams
    needs_checkpoint = True
    sees_whole = True
    moves_statistics = True
    starts_solved = True

    def setup(self, context: LearnerContext) -> nn.Module:
        module = super().setup(context)
        self.module.head.requires_grad_(False)
        return module

    def network_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """Nothing here is new, so both parts are slow; the head stays."""
        rates = {"backbone": self.params.backbone_lr, "bottleneck": self.params.bottleneck_lr}
        parts = [(getattr(self.module, name), rate) for name, rate in rates.items()]
        return [group for part, rate in parts for group in decay_groups([part], lr * rate, weight_decay)]

    def losses(self, batch: Batch, at: Step) -> Losses:
        view = self.view(batch)
        with full_precision(view.features):
            return self.adapt(view, at)

    def adapt(self, view: View, at: Step) -> Losses:
        """Named losses of the target's batch."""
        raise NotImplementedError


class Memory(nn.Module):
    """Tensors [N, ...] of the target's N images, by name; they are in the resume state."""

    def __init__(self, **tensors: Tensor) -> None:
        super().__init__()
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor)

    @torch.no_grad()
    def keep(self, rows: Tensor | slice = slice(None), **tensors: Tensor) -> None:
        """Puts in what `rows` of the target are now."""
        for name, tensor in tensors.items():
            held = getattr(self, name)
            held[rows] = tensor.detach().to(held)


def images_of(context: LearnerContext) -> int:
    """How many images the target has."""
    return context.extra.get("target_images", 0)
