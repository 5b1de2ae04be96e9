"""OSBP: a class for what is unknown, between which and the known ones the features must decide."""

from pydantic import Field
from torch import Tensor

from adapters.align.deep.base import AligningParams, DeepLearner, Losses, View
from adapters.align.deep.run.domains import UNKNOWN
from studio.core.registry import register
from studio.core.streams import Step
from studio.engine.reversal import reverse


class OsbpParams(AligningParams):
    boundary: float = Field(
        0.5, gt=0, lt=1, description="probability of unknown that the head gives the target, and the features leave"
    )


@register("align/osbp")
class Osbp(DeepLearner):
    """The head has one class more. It gives target images p(unknown) = t; through a reversed gradient the features
    make it larger or smaller.

    Saito et al. 2018, eq. 2-5. Scored by the H-score of known and unknown.
    """

    title = "OSBP"
    paper = "Saito et al. 2018, Open Set Domain Adaptation by Backpropagation"
    Params = OsbpParams
    setting = "open"

    @classmethod
    def classes_of(cls, classes: list[str]) -> list[str]:
        return [*classes, UNKNOWN]

    def align(self, source: View, target: View, at: Step) -> Losses:
        logits = self.module.classify(reverse(target.features, self.strength(at)))
        return {"boundary": target.batch.mean(boundary_loss(logits, self.params.boundary))}


def boundary_loss(logits: Tensor, boundary: float) -> Tensor:
    """-t log p - (1 - t) log(1 - p) [B], p the probability of the last of the classes of logits [B, C + 1]."""
    total = logits.logsumexp(dim=1)
    unknown, known = logits[:, -1] - total, logits[:, :-1].logsumexp(dim=1) - total
    return -boundary * unknown - (1 - boundary) * known
