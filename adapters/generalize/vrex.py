"""V-REx: risks that are equal in every source."""

from typing import Any

import torch
from pydantic import Field

from adapters.generalize.annealing import annealed
from adapters.generalize.base import GeneralizeParams, Generalizer
from studio.core.registry import register
from studio.core.streams import Step, StreamBatches


class VrexParams(GeneralizeParams):
    weight: float = Field(10.0, ge=0, le=1e6, description="weight of the variance of the risks, once it is on")
    anneal: float = Field(0.1, ge=0, le=1, description="share of the training before which the weight is 1 at most")


@register("generalize/vrex")
class Vrex(Generalizer):
    """Mean risk plus the variance of the risks over the sources.

    Krueger et al. 2021, eq. 8: a linear extrapolation beyond the sources would raise the largest of them most.
    """

    title = "V-REx"
    paper = "Krueger et al. 2021, Out-of-Distribution Generalization via Risk Extrapolation"
    formula = r"\min_f \; \frac{1}{E}\sum_e R^e(f) + \beta \, \mathrm{Var}_e\, R^e(f)"
    Params = VrexParams

    def losses(self, batch: StreamBatches, at: Step) -> Any:
        risks = torch.stack([source.risk for source in self.see(batch.sources)])
        variance = risks.var(correction=0)
        ours, theirs = annealed(self.params.weight, self.params.anneal, at)
        return {"classify": ours * risks.mean(), "variance": theirs * variance}, {"risk": risks.mean()}
