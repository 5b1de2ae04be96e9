"""DeepJDOT: images are paired by optimal transport of features and labels together."""

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import log_softmax

from adapters.align.deep.base import AligningParams, DeepLearner, Losses, View
from adapters.align.deep.kernels import squared_distances
from adapters.align.ot import exact
from studio.core.registry import register
from studio.core.streams import Step


class DeepJdotParams(AligningParams):
    of_features: float = Field(0.01, ge=0, le=100, description="weight of the features' distance in what a pair costs")
    of_labels: float = Field(1.0, ge=0, le=100, description="weight of the loss of the source's label in what it costs")


@register("align/deep-jdot")
class DeepJdot(DeepLearner):
    """sum_ij g_ij (a |z_i - z_j|^2 + b CE(y_i, f(z_j))), g the transport plan of a batch that costs least.

    Damodaran et al. 2018, eq. 5-8; the plan is solved exactly and gets no gradient.
    """

    title = "DeepJDOT"
    paper = "Damodaran et al. 2018, DeepJDOT: Deep Joint Distribution Optimal Transport"
    Params = DeepJdotParams

    def align(self, source: View, target: View, at: Step) -> Losses:
        distances = self.params.of_features * squared_distances(source.features, target.features)
        labels = self.params.of_labels * label_costs(source.batch.labels, target.logits)
        plan = transport_plan((distances + labels).detach())
        strength = self.strength(at)
        return {"features": strength * (plan * distances).sum(), "labels": strength * (plan * labels).sum()}


def label_costs(labels: Tensor, logits: Tensor) -> Tensor:
    """Cross-entropy [N, M] of each source label [N] under each target image's logits [M, C]."""
    return -log_softmax(logits, dim=1)[:, labels].T


def transport_plan(costs: Tensor) -> Tensor:
    """The plan [N, M] of least cost between equal masses."""
    return torch.as_tensor(exact(costs.cpu().numpy()), dtype=costs.dtype, device=costs.device)
