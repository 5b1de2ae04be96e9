"""BSP: no direction of the features may outshine the others, beside an adversary."""

import torch
from pydantic import Field
from torch import Tensor

from adapters.align.deep.adversarial.dann import AdversaryParams, Dann
from adapters.align.deep.base import Losses, View
from studio.core.registry import register
from studio.core.streams import Step


class BspParams(AdversaryParams):
    penalty: float = Field(1e-4, ge=0, le=10, description="weight of the penalty on the largest singular values")
    largest: int = Field(1, ge=1, le=64, description="how many singular values of a batch are held down")


@register("align/bsp")
class Bsp(Dann):
    """DANN, and the squares of the largest singular values of each domain's features, summed.

    Chen et al. 2019, eq. 6-7.
    """

    title = "BSP"
    paper = "Chen et al. 2019, Transferability vs. Discriminability: Batch Spectral Penalization"
    Params = BspParams

    def align(self, source: View, target: View, at: Step) -> Losses:
        losses, logged = super().align(source, target, at)
        held = sum(spectral_penalty(view.features, self.params.largest) for view in (source, target))
        return {**losses, "spectrum": self.params.penalty * held}, logged


def spectral_penalty(features: Tensor, largest: int = 1) -> Tensor:
    """Sum of squares of the largest singular values of features [B, D]."""
    return torch.linalg.svdvals(features.float())[:largest].square().sum()
