"""What source-free methods share: a trained network whose head stands still, and a memory of the target."""

import torch
from torch import Tensor, nn

from adapters.align.deep.base import DeepLearner, View
from studio.core.faces import LearnerContext
from studio.core.streams import Batch, Target


class SourceFree(DeepLearner):
    """Starts from `model.checkpoint`, learns from the target alone, and keeps the head as the source left it."""

    streams = (Target,)
    uses = ("data.target", "data.test", "model.checkpoint", "train.epochs", "train.lr", "eval.score")
    needs_checkpoint = True
    sees_whole = True
    starts_solved = True

    def setup(self, context: LearnerContext) -> nn.Module:
        module = super().setup(context)
        self.module.head.requires_grad_(False)
        return module

    def view(self, batch: Batch) -> View:
        """The target's batch through the network."""
        features = self.module.embed(batch.images)
        return View(batch, features, self.module.classify(features))


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
