"""DeepJDOT: images are paired by optimal transport of features and labels together."""

from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from scipy.stats import binom
from torch import Tensor
from torch.nn.functional import log_softmax

from adapters.align.deep.base import AligningParams, DeepLearner, Losses, View
from adapters.align.deep.kernels import squared_distances
from adapters.align.ot import exact, partial
from studio.core.registry import register
from studio.core.streams import Step


class DeepJdotParams(AligningParams):
    of_features: float = Field(0.01, ge=0, le=100, description="weight of the features' distance in what a pair costs")
    of_labels: float = Field(1.0, ge=0, le=100, description="weight of the loss of the source's label in what it costs")
    mass: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None,
        description="share of a batch that is paired, the cheapest pairs; null: what two random batches have in "
        "common by class; 1 pairs all",
    )


@register("align/deep-jdot")
class DeepJdot(DeepLearner):
    """sum_ij g_ij (a |z_i - z_j|^2 + b CE(y_i, f(z_j))), g the transport plan of a batch that costs least.

    Damodaran et al. 2018, eq. 5-8; the plan is solved exactly and gets no gradient. The paper pairs whole batches of
    500 images. Two random batches never hold their classes in the same shares: of 500 images of ten classes a
    thirteenth would be paired with another class, of 32 three tenths. So a part is left unpaired (`mass`).
    """

    title = "DeepJDOT"
    paper = "Damodaran et al. 2018, DeepJDOT: Deep Joint Distribution Optimal Transport"
    Params = DeepJdotParams

    def align(self, source: View, target: View, at: Step) -> Losses:
        distances = self.params.of_features * squared_distances(source.features, target.features)
        labels = self.params.of_labels * label_costs(source.batch.labels, target.logits)
        shared = shared_by_class(target.logits.shape[1], len(target.logits))
        mass = shared if self.params.mass is None else self.params.mass
        plan = transport_plan((distances + labels).detach(), mass)
        strength = self.strength(at)
        return {"features": strength * (plan * distances).sum(), "labels": strength * (plan * labels).sum()}


def label_costs(labels: Tensor, logits: Tensor) -> Tensor:
    """Cross-entropy [N, M] of each source label [N] under each target image's logits [M, C]."""
    return -log_softmax(logits, dim=1)[:, labels].T


def transport_plan(costs: Tensor, mass: float = 1.0) -> Tensor:
    """The plan [N, M] of least cost between equal masses, of which `mass` is moved."""
    matrix = costs.cpu().numpy()
    plan = exact(matrix) if mass == 1 else partial(matrix, mass)
    return torch.as_tensor(plan, dtype=costs.dtype, device=costs.device)


def shared_by_class(classes: int, count: int) -> float:
    """The expected share 0..1 of two random batches of `count` images that can be paired within its class.

    Of even classes: C E[min(X, Y)] / B, X and Y binomial, where E[min(X, Y)] is the sum of P(X > k)^2 over k.
    """
    return float(classes / count * (binom.sf(np.arange(count), count, 1 / classes) ** 2).sum())
