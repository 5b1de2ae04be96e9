"""MixStyle: images take on some of the style of another camera's, so that a camera never seen looks less strange."""

import torch
from pydantic import Field
from torch import Tensor, nn

from adapters.generalize.mixstyle import MixesStyles
from adapters.reid.baseline import Baseline, BaselineParams
from studio.core.faces import LearnerContext
from studio.core.registry import register
from studio.core.streams import Batch, Step


class MixStyleParams(BaselineParams):
    alpha: float = Field(0.1, gt=0, le=10, description="of the Beta distribution that shares are drawn from")
    chance: float = Field(0.5, ge=0, le=1, description="how often a batch is mixed, at each of two depths")


@register("reid/mixstyle")
class MixStyle(MixesStyles, Baseline):
    """The strong baseline, with mean and deviation of early feature maps mixed between cameras, while training alone.

    Zhou et al. 2021, eq. 5-7 and section 4.2: an image takes its partner from another camera where there is one, else
    at random. For cameras, and places, that were never seen.
    """

    title = "MixStyle"
    paper = "Zhou et al. 2021, Domain Generalization with MixStyle"
    Params = MixStyleParams
    needs_cameras = True

    def setup(self, context: LearnerContext) -> nn.Module:
        module = super().setup(context)
        self.watch(self.module.backbone)
        return module

    def losses(self, batch: Batch, at: Step) -> dict[str, Tensor]:
        self.partners = partners(batch.cameras)
        try:
            return super().losses(batch, at)
        finally:
            self.partners = None


def partners(cameras: Tensor) -> Tensor:
    """For each row a row at random of another camera, or of any where there is no other; int64 [B]."""
    chances = (cameras[:, None] != cameras[None]).float()
    alone = chances.sum(dim=1) == 0
    chances[alone] = 1.0
    return torch.multinomial(chances, 1).squeeze(1)
