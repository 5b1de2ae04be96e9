"""MixStyle: images take on some of the style of another camera's, so that a camera never seen looks less strange."""

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Beta

from adapters.generalize.mixstyle import DEPTHS, mix_styles
from adapters.reid.baseline import Baseline, BaselineParams
from studio.core.errors import UsageError
from studio.core.faces import LearnerContext
from studio.core.registry import register
from studio.core.streams import Batch, Step


class MixStyleParams(BaselineParams):
    alpha: float = Field(0.1, gt=0, le=10, description="of the Beta distribution that shares are drawn from")
    chance: float = Field(0.5, ge=0, le=1, description="how often a batch is mixed, at each of two depths")


@register("reid/mixstyle")
class MixStyle(Baseline):
    """The strong baseline, with mean and deviation of early feature maps mixed between cameras, while training alone.

    Zhou et al. 2021, eq. 5-7 and section 4.2: an image takes its partner from another camera where there is one, else
    at random. For cameras, and places, that were never seen.
    """

    title = "MixStyle"
    paper = "Zhou et al. 2021, Domain Generalization with MixStyle"
    Params = MixStyleParams
    needs_cameras = True
    partners: Tensor | None = None  # of each image of the batch that is in the network now

    def setup(self, context: LearnerContext) -> nn.Module:
        module = super().setup(context)
        backbone = self.module.backbone
        if backbone.kind != "cnn":
            raise UsageError(f"{self.id} mixes the channels of feature maps, which {backbone.spec} has not.")
        blocks = backbone.layers()
        for depth in sorted({max(1, round(share * len(blocks))) for share in DEPTHS}):
            blocks[depth - 1].register_forward_hook(self._mix)
        return module

    def losses(self, batch: Batch, at: Step) -> dict[str, Tensor]:
        self.partners = partners(batch.cameras)
        try:
            return super().losses(batch, at)
        finally:
            self.partners = None

    def _mix(self, module: nn.Module, inputs: tuple, maps: Tensor) -> Tensor:
        if self.partners is None or not self.module.training or float(torch.rand(())) >= self.params.chance:
            return maps
        shares = Beta(self.params.alpha, self.params.alpha).sample((len(maps), 1, 1, 1)).to(maps)
        return mix_styles(maps, self.partners, shares)


def partners(cameras: Tensor) -> Tensor:
    """For each row a row at random of another camera, or of any where there is no other; int64 [B]."""
    chances = (cameras[:, None] != cameras[None]).float()
    alone = chances.sum(dim=1) == 0
    chances[alone] = 1.0
    return torch.multinomial(chances, 1).squeeze(1)
