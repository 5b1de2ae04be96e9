"""HRDA: the whole image at half its size for what is around, a part of it at full size for what is small."""

from pydantic import Field
from torch import Tensor, nn

from adapters.segment.domains.daformer import Daformer, DaformerParams
from adapters.segment.domains.two_resolutions import TwoResolutions, halved
from studio.core.registry import register


class HrdaParams(DaformerParams):
    detail: float = Field(
        0.1, ge=0, lt=1, description="weight of the detail's own loss beside that of both; 0 is one resolution"
    )


@register("segment/hrda")
class Hrda(Daformer):
    """DAFormer on a network that looks twice: at the halved image, and at a half of it in full detail.

    Sections 3.2 to 3.4: where the detail was looked at, a learned attention a mixes both as (1 - a) context + a detail;
    predictions have detail everywhere. The teacher's maps are learned from the mixture alone, without their own detail
    loss, and the detail windows of a prediction don't overlap.
    """

    title = "HRDA"
    paper = "Hoyer et al. 2022, HRDA: Context-Aware High-Resolution Domain-Adaptive Semantic Segmentation"
    Params = HrdaParams

    def __init__(self, params: HrdaParams | None = None) -> None:
        super().__init__(params)
        if self.params.detail:
            self.network = TwoResolutions(self.network, self.params.detail)

    def pretrained_maps(self, images: Tensor) -> Tensor:
        return super().pretrained_maps(halved(images) if self.params.detail else images)

    def encoder(self) -> nn.Module:
        return self.network.network.module.maps if self.params.detail else super().encoder()
