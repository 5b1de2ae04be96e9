"""AFN: features of both domains grow longer, step by step, for short ones transfer badly."""

from pydantic import Field
from torch import Tensor

from adapters.align.deep.base import AligningParams, DeepLearner, Losses, View
from studio.core.registry import register
from studio.core.streams import Step


class AfnParams(AligningParams):
    weight: float = Field(0.05, ge=0, le=1000, description="weight of the growth beside the classification")
    ramp: float = Field(0.0, ge=0, le=100, description="how quickly that weight grows from 0; 0 has it whole at once")
    growth: float = Field(1.0, gt=0, le=100, description="how much longer a feature is to be than it is")


@register("align/afn")
class Afn(DeepLearner):
    """Stepwise adaptive feature norm: mean (|f| - |f| as it is - r)^2 of both domains. Xu et al. 2019, eq. 6-7."""

    title = "AFN"
    paper = "Xu et al. 2019, Larger Norm More Transferable: An Adaptive Feature Norm Approach"
    Params = AfnParams

    def align(self, source: View, target: View, at: Step) -> Losses:
        grown = sum(view.batch.mean(growth_wanted(view.features, self.params.growth)) for view in (source, target))
        return {"norm": self.strength(at) * grown}


def growth_wanted(features: Tensor, growth: float) -> Tensor:
    """(|f| - (|f| without gradient + growth))^2 [B] of features [B, D]."""
    norms = features.norm(dim=1)
    return (norms - (norms.detach() + growth)).square()
