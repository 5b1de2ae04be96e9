"""IRM: a classifier that is optimal in every source at once."""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from adapters.generalize.annealing import annealed
from adapters.generalize.base import GeneralizeParams, Generalizer, mean_risk
from studio.core.registry import register
from studio.core.streams import Step, StreamBatches


class IrmParams(GeneralizeParams):
    weight: float = Field(100.0, ge=0, le=1e6, description="weight of the penalty, once it is on")
    anneal: float = Field(0.1, ge=0, le=1, description="share of the training before which the weight is 1 at most")


@register("generalize/irm")
class Irm(Generalizer):
    """Risk plus how far a scale of 1 on the logits is from the best scale in each source.

    Arjovsky et al. 2019, eq. (IRMv1): the squared gradient of each source's risk by a dummy scale w at w = 1; as in
    their appendix, the square is the product of the gradients on two halves of the batch, which is unbiased.
    """

    title = "IRM"
    paper = "Arjovsky et al. 2019, Invariant Risk Minimization"
    formula = r"\min_{f} \sum_e R^e(f) + \lambda \, \big\lVert \nabla_{w \mid w = 1} R^e(w \cdot f) \big\rVert^2"
    Params = IrmParams

    def losses(self, batch: StreamBatches, at: Step) -> Any:
        seen = self.see(batch.sources)
        penalties = [invariance_penalty(source.logits, source.batch.labels) for source in seen]
        penalty, risk = torch.stack(penalties).mean(), mean_risk(seen)
        ours, theirs = annealed(self.params.weight, self.params.anneal, at)
        return {"classify": ours * risk, "invariance": theirs * penalty}, {"risk": risk, "penalty": penalty}


def invariance_penalty(logits: Tensor, labels: Tensor) -> Tensor:
    """The product of the gradients of two halves' risk by a scale of the logits [B, C], at 1; its square for one row.

    It may be below 0, as an unbiased estimate of a square may.
    """
    halves = [(logits[::2], labels[::2]), (logits[1::2], labels[1::2])] if len(logits) > 1 else [(logits, labels)] * 2
    first, second = (_gradient_by_scale(*half) for half in halves)
    return first * second


def _gradient_by_scale(logits: Tensor, labels: Tensor) -> Tensor:
    scale = torch.ones((), dtype=logits.dtype, device=logits.device, requires_grad=True)
    return torch.autograd.grad(cross_entropy(logits * scale, labels), scale, create_graph=True)[0]
