"""Group DRO: the worst source counts most."""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from adapters.generalize.base import GeneralizeParams, Generalizer
from studio.core.registry import register
from studio.core.streams import Step, StreamBatches


class GroupDroParams(GeneralizeParams):
    step_size: float = Field(0.01, ge=0, le=10, description="how quickly weight moves to the sources of larger risk")


@register("generalize/groupdro")
class GroupDro(Generalizer):
    """Risks weighted by how large they were so far.

    Sagawa et al. 2020, algorithm 1: the weight of each source is multiplied with exp(step size * risk) and all are
    divided by their sum, then the weighted risk is minimised.
    """

    title = "Group DRO"
    paper = "Sagawa et al. 2020, Distributionally Robust Neural Networks for Group Shifts"
    formula = r"\min_f \max_{q \in \Delta} \sum_e q_e R^e(f), \qquad q_e \leftarrow q_e \, e^{\eta R^e} / Z"
    Params = GroupDroParams

    def build(self, sources: int) -> None:
        self.module.aids["groups"] = Groups(sources)

    def losses(self, batch: StreamBatches, at: Step) -> Any:
        seen = self.see(batch.sources)
        risks = torch.stack([source.risk for source in seen])
        shares = torch.tensor([source.batch.share for source in seen], device=risks.device)
        weights = self.module.aids["groups"].updated(self.params.step_size * shares * risks.detach())
        return {"classify": (weights * risks).sum()}, {"largest_weight": weights.max()}


class Groups(nn.Module):
    """The weight of each source, kept from step to step."""

    def __init__(self, sources: int) -> None:
        super().__init__()
        self.register_buffer("weights", torch.full((sources,), 1 / sources))

    def updated(self, exponents: Tensor) -> Tensor:
        """The weights [K] times exp(exponents [K]), made to sum to 1; a copy."""
        self.weights.copy_((self.weights.log() + exponents).softmax(dim=0))
        return self.weights.clone()
