"""Domain-specific batch normalisation: one for each domain, all other weights shared."""

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from adapters.align.deep.base import AligningParams, DeepLearner, Losses, View
from adapters.align.deep.network import AligningNetwork
from adapters.align.deep.structure.norms import SOURCE, TARGET, PerDomain, replace_norms
from studio.core.faces import LearnerContext
from studio.core.registry import register
from studio.core.streams import Step, StreamBatches


class DsbnParams(AligningParams):
    sure: float = Field(0.9, ge=0, le=1, description="probability from which the target's own guess is learned")


@register("align/dsbn")
class Dsbn(DeepLearner):
    """Statistics, scales and shifts of each domain; the target learns from those of its guesses that are sure.

    Chang et al. 2019, sections 3-4. Its first stage, which brings the domains together by another method, is left out:
    pseudo-labels are of the network itself, and their weight grows.
    """

    title = "Domain-specific batch normalisation"
    paper = "Chang et al. 2019, Domain-Specific Batch Normalization for Unsupervised Domain Adaptation"
    Params = DsbnParams
    moves_statistics = True

    def network(self, context: LearnerContext) -> AligningNetwork:
        network = super().network(context)
        self.norms = replace_norms(network, PerDomain, self.id)
        return network

    def look(self, batch: StreamBatches) -> tuple[View, View]:
        return self._view(batch.source, SOURCE), self._view(batch.target, TARGET)

    def _view(self, domain, number: int) -> View:
        for norm in self.norms:
            norm.domain = number
        features = self.module.embed(domain.images)
        return View(domain, features.float(), self.module.classify(features).float())

    def classify_features(self, features: Tensor) -> Tensor:
        """By the norms of both domains, which so begin alike."""
        logits = []
        for number in (SOURCE, TARGET):
            for norm in self.norms:
                norm.domain = number
            logits.append(super().classify_features(features))
        return torch.stack(logits).mean(dim=0)

    def align(self, source: View, target: View, at: Step) -> Losses:
        surest, guesses = target.probabilities.detach().max(dim=1)
        sure = (surest >= self.params.sure).float()
        losses = cross_entropy(target.logits, guesses, reduction="none")
        return {"guesses": self.strength(at) * target.batch.mean(sure * losses)}, {"sure": target.batch.mean(sure)}

    def answer(self, images: Tensor) -> tuple[Tensor, Tensor]:
        for norm in self.norms:
            norm.domain = TARGET
        return super().answer(images)

    def export_module(self) -> nn.Module | None:
        return None
