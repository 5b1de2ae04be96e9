"""ETN: source images count as much as they may serve the target, in classifying and in aligning."""

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy, cross_entropy, leaky_relu, one_hot

from adapters.align.deep.adversarial.dann import AdversaryParams
from adapters.align.deep.base import DeepLearner, Losses, View
from adapters.align.deep.discriminator import Discriminator, Side, adversarial, entropies
from studio.core.faces import LearnerContext
from studio.core.registry import register
from studio.core.streams import Step, StreamBatches
from studio.device.precision import full_precision


class EtnParams(AdversaryParams):
    certainty: float = Field(0.1, ge=0, le=10, description="weight of the entropy of target predictions")


@register("align/etn")
class Etn(DeepLearner):
    """Weights 1 - D~ of the source, D~ the sum of an auxiliary head's leaky softmax, which also tells the domains.

    Cao et al. 2019, eq. 3-9. The head learns the labels one against the rest, and is large on the source alone.
    """

    title = "ETN"
    paper = "Cao et al. 2019, Learning to Transfer Examples for Partial Domain Adaptation"
    Params = EtnParams
    setting = "partial"

    def aids(self, context: LearnerContext) -> dict[str, nn.Module]:
        auxiliary = nn.Linear(self.module.dim, len(context.classes))
        return {"auxiliary": auxiliary, "discriminator": Discriminator(self.module.dim, self.params.hidden)}

    def losses(self, batch: StreamBatches, at: Step) -> Losses:
        source, target = self.look(batch)
        with full_precision(source.features):  # 1 - 1e-6 is no half
            return self._weighted(source, target, at)

    def _weighted(self, source: View, target: View, at: Step) -> Losses:
        said = [leaky_softmax(self.module.aids["auxiliary"](view.features.detach())) for view in (source, target)]
        of_source, of_target = (one.sum(dim=1).clamp(1e-6, 1 - 1e-6) for one in said)
        weights = 1 - of_source.detach()
        weights = weights / weights.mean().clamp_min(1e-6)
        sides = Side(source.batch, source.features, weights), Side(target.batch, target.features)
        domain, logged = adversarial(self.module.aids["discriminator"], *sides, self.strength(at))
        labels = one_hot(source.batch.labels, source.logits.shape[1]).to(source.logits)
        classify = cross_entropy(source.logits, source.batch.labels, reduction="none")
        certain = self.params.certainty * at.ramp() * target.batch.mean(entropies(target.probabilities))
        return {
            "classify": source.batch.mean(weights * classify),
            "entropy": certain,
            "domain": domain,
            "auxiliary": binary_cross_entropy(said[0].clamp(1e-6, 1 - 1e-6), labels),
            "auxiliary_domain": -source.batch.mean(of_source.log()) - target.batch.mean((1 - of_target).log()),
        }, logged


def leaky_softmax(logits: Tensor) -> Tensor:
    """exp(z_c) / (C + sum exp(z)) [B, C] of leaky-ReLU logits [B, C]: the sum is below 1. Cao et al. 2019, eq. 4."""
    values = leaky_relu(logits).clamp_max(50.0)
    return values.exp() / (values.shape[1] + torch.exp(values).sum(dim=1, keepdim=True))
