"""MDD: an adversary among the classifiers, which agrees on the source and differs on the target."""

from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from adapters.align.deep.base import AligningParams, DeepLearner, Losses, View
from adapters.align.deep.network import AligningNetwork, perceptron
from studio.core.faces import LearnerContext
from studio.core.registry import register
from studio.core.streams import Step
from studio.engine.reversal import reverse


class MddParams(AligningParams):
    margin: float = Field(4.0, gt=0, le=20, description="gamma, the weight of the source: exp of the margin")
    reversal: float = Field(0.1, gt=0, le=1, description="largest coefficient of the gradient that is reversed")


@register("align/mdd")
class Mdd(DeepLearner):
    """Margin disparity discrepancy: gamma CE(f'(s), h(s)) + mean -log(1 - p'(h(t))), h the class that is predicted.

    The adversary f' minimises it, the features maximise it through a reversed gradient. Zhang et al. 2019, eq. 26-30.
    """

    title = "MDD"
    paper = "Zhang et al. 2019, Bridging Theory and Algorithm for Domain Adaptation"
    Params = MddParams

    def network(self, context: LearnerContext) -> AligningNetwork:
        network = super().network(context)
        network.head = perceptron(network.dim, network.dim, len(context.classes))
        return network

    def aids(self, context: LearnerContext) -> dict[str, nn.Module]:
        return {"adversary": perceptron(self.module.dim, self.module.dim, len(context.classes))}

    def align(self, source: View, target: View, at: Step) -> Losses:
        reversal = self.params.reversal * (at.ramp(self.params.ramp) if self.params.ramp else 1.0)
        of_source, of_target = (
            self.module.aids["adversary"](reverse(view.features, reversal)) for view in (source, target)
        )
        agree = self.params.margin * cross_entropy(of_source, source.logits.argmax(dim=1))
        differ = target.batch.mean(disagreement(of_target, target.logits.argmax(dim=1)))
        return {"agree": self.params.weight * agree, "differ": self.params.weight * differ}


def disagreement(logits: Tensor, predicted: Tensor) -> Tensor:
    """-log(1 - p) [B] of the probability p that logits [B, C] give to the class [B] another head predicted."""
    others = logits.scatter(1, predicted[:, None], -float("inf"))
    return logits.logsumexp(dim=1) - others.logsumexp(dim=1)
