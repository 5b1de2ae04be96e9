"""TransNorm: batch normalisation that weighs channels by how alike the domains are in them, beside an adversary."""

import torch
from torch import Tensor, nn

from adapters.align.deep.adversarial.cdan import Cdan
from adapters.align.deep.base import View
from adapters.align.deep.network import AligningNetwork
from adapters.align.deep.structure.norms import Transferable, replace_norms
from studio.core.faces import LearnerContext
from studio.core.registry import register
from studio.core.streams import StreamBatches


@register("align/transnorm")
class TransNorm(Cdan):
    """CDAN with each domain normalised by its own statistics, and channels by (1 + alpha).

    Wang et al. 2019, eq. 3-7.
    """

    title = "TransNorm"
    paper = "Wang et al. 2019, Transferable Normalization: Towards Improving Transferability of Deep Neural Networks"
    moves_statistics = True

    def network(self, context: LearnerContext) -> AligningNetwork:
        network = super().network(context)
        self.norms = replace_norms(network, Transferable, self.id)
        return network

    def classify_features(self, features: Tensor) -> Tensor:
        """The source stands for both domains, which so begin alike."""
        for norm in self.norms:
            norm.first = len(features)
        return super().classify_features(torch.cat([features, features]))[: len(features)]

    def look(self, batch: StreamBatches) -> tuple[View, View]:
        for norm in self.norms:
            norm.first = len(batch.source)
        return self.together(batch)

    def export_module(self) -> nn.Module | None:
        return None
