"""MLDG: a step on some sources must help on another."""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from adapters.generalize.base import GeneralizeParams, Generalizer, mean_risk, single
from studio.core.registry import register
from studio.core.streams import Batch, Step, StreamBatches


class MldgParams(GeneralizeParams):
    inner_lr: float = Field(0.001, gt=0, le=10, description="length of the step that is looked ahead")
    weight: float = Field(1.0, ge=0, le=100, description="weight of the risk after that step")
    first_order: bool = Field(False, description="leave second derivatives out: less memory, a coarser gradient")


@register("generalize/mldg")
class Mldg(Generalizer):
    """Each step one source, drawn at random, is held out: its risk counts after a step of gradient descent on the rest.

    Li et al. 2018, eq. 5: F(theta) + beta G(theta - alpha F'(theta)), with the gradient through the step.
    """

    title = "MLDG"
    paper = "Li et al. 2018, Learning to Generalize: Meta-Learning for Domain Generalization"
    Params = MldgParams

    def losses(self, batch: StreamBatches, at: Step) -> Any:
        held = int(torch.randint(len(batch.sources), ()))
        risk = mean_risk(self.see([source for place, source in enumerate(batch.sources) if place != held]))
        ahead = self.params.weight * self.risk_after(risk, batch.sources[held])
        return {"classify": risk, "ahead": ahead}

    def risk_after(self, risk: Tensor, held: Batch) -> Tensor:
        """The risk of a source's batch after a step of length `inner_lr` down the gradient of `risk`."""
        trained = {name: p for name, p in self.module.named_parameters() if p.requires_grad}
        exact = not self.params.first_order
        gradients = torch.autograd.grad(
            risk, list(trained.values()), create_graph=exact, retain_graph=True, allow_unused=True
        )
        stepped = {
            name: p if gradient is None else p - self.params.inner_lr * gradient
            for (name, p), gradient in zip(trained.items(), gradients, strict=True)
        }
        logits = single(functional_call(self.module, stepped, (held.images,)))
        return held.mean(cross_entropy(logits, held.labels, reduction="none"))
