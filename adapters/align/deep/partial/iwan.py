"""IWAN: source images that a first adversary takes for the target's count more with a second."""

from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import softplus

from adapters.align.deep.adversarial.dann import AdversaryParams
from adapters.align.deep.base import DeepLearner, Losses, View
from adapters.align.deep.discriminator import Discriminator, Side, adversarial, entropies
from studio.core.faces import LearnerContext
from studio.core.registry import register
from studio.core.streams import Step


class IwanParams(AdversaryParams):
    certainty: float = Field(0.1, ge=0, le=10, description="weight of the entropy of target predictions")


@register("align/iwan")
class Iwan(DeepLearner):
    """Weights 1 - D(z) of the source by an adversary that teaches nothing to the features, brought to mean 1.

    Zhang et al. 2018, eq. 5-11; one network for both domains, and the entropy of target predictions beside.
    """

    title = "IWAN"
    paper = "Zhang et al. 2018, Importance Weighted Adversarial Nets for Partial Domain Adaptation"
    Params = IwanParams
    setting = "partial"

    def aids(self, context: LearnerContext) -> dict[str, nn.Module]:
        return {
            name: Discriminator(self.module.dim, self.params.hidden) for name in ("weighing", "discriminator")
        }  # fmt: skip

    def align(self, source: View, target: View, at: Step) -> Losses:
        first = [self.module.aids["weighing"](view.features.detach()) for view in (source, target)]
        weights = likeness(first[0])
        sides = Side(source.batch, source.features, weights), Side(target.batch, target.features)
        domain, logged = adversarial(self.module.aids["discriminator"], *sides, self.strength(at))
        weighing = (source.batch.mean(softplus(-first[0])) + target.batch.mean(softplus(first[1]))) / 2
        certain = self.params.certainty * at.ramp() * target.batch.mean(entropies(target.probabilities))
        return {"weighing": weighing, "domain": domain, "entropy": certain}, logged


def likeness(logits: Tensor) -> Tensor:
    """1 - sigmoid [B] of a discriminator's logits [B] for the source, brought to mean 1; no gradient."""
    weights = 1 - logits.detach().sigmoid()
    return weights / weights.mean().clamp_min(1e-6)
