"""MixStyle: images take on some of the style, the channel statistics, of images of another source."""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Beta

from adapters.generalize.base import GeneralizeParams, Generalizer, Seen
from studio.core.errors import UsageError
from studio.core.registry import register
from studio.core.streams import Batch

DEPTHS = (3 / 16, 7 / 16)  # where the first and second stage of a ResNet-50 end, as a share of its blocks


class MixStyleParams(GeneralizeParams):
    alpha: float = Field(0.1, gt=0, le=10, description="of the Beta distribution that shares are drawn from")
    chance: float = Field(0.5, ge=0, le=1, description="how often a batch is mixed, at each of two depths")


class MixesStyles:
    """Of a Learner: early feature maps of its backbone are mixed, at two depths, with those of their `partners`."""

    id: str
    params: Any  # with `alpha` and `chance`
    module: Any
    partners: Tensor | None = None  # of each image of the batch that is in the network now

    def watch(self, backbone: Any) -> None:
        """Raises UsageError for a backbone that has no feature maps."""
        if backbone.kind != "cnn":
            raise UsageError(f"{self.id} mixes the channels of feature maps, which {backbone.spec} has not.")
        blocks = backbone.layers()
        for depth in sorted({max(1, round(share * len(blocks))) for share in DEPTHS}):
            blocks[depth - 1].register_forward_hook(self._mix)

    def _mix(self, module: nn.Module, inputs: tuple, maps: Tensor) -> Tensor:
        if self.partners is None or not self.module.training or float(torch.rand(())) >= self.params.chance:
            return maps
        shares = Beta(self.params.alpha, self.params.alpha).sample((len(maps), 1, 1, 1)).to(maps)
        return mix_styles(maps, self.partners, shares)


@register("generalize/mixstyle")
class MixStyle(MixesStyles, Generalizer):
    """Mean and deviation of early feature maps are mixed between sources, while training alone.

    Zhou et al. 2021, eq. 5-7, with the shuffle that pairs an image with one of another source (their section 2.2).
    """

    title = "MixStyle"
    paper = "Zhou et al. 2021, Domain Generalization with MixStyle"
    Params = MixStyleParams

    def attach(self) -> None:
        self.watch(self.module.backbone)

    def see(self, sources: "list[Batch]") -> list[Seen]:
        self.partners = partners([len(source) for source in sources]).to(sources[0].images.device)
        try:
            return super().see(sources)
        finally:
            self.partners = None


def mix_styles(maps: Tensor, partners: Tensor, shares: Tensor, eps: float = 1e-6) -> Tensor:
    """Feature maps [B, C, h, w] with a style between their own and their partner's; shares [B, 1, 1, 1] of their own.

    No gradient goes through the statistics.
    """
    variance, mean = torch.var_mean(maps.detach(), dim=(2, 3), keepdim=True)
    deviation = (variance + eps).sqrt()
    mixed_mean = shares * mean + (1 - shares) * mean[partners]
    mixed_deviation = shares * deviation + (1 - shares) * deviation[partners]
    return (maps - mean) / deviation * mixed_deviation + mixed_mean


def partners(sizes: list[int]) -> Tensor:
    """For each row of several sources' batches laid end to end, a row of another source at random, [sum of sizes]."""
    starts = torch.tensor([0, *sizes[:-1]]).cumsum(0).tolist()
    away = 1 + int(torch.randint(len(sizes) - 1, ()))
    rows = []
    for place, size in enumerate(sizes):
        other = (place + away) % len(sizes)
        shuffled = torch.randperm(sizes[other])
        rows.append(starts[other] + shuffled[torch.arange(size) % sizes[other]])
    return torch.cat(rows)
