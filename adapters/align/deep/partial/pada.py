"""PADA: classes that the target does not seem to have count less."""

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from adapters.align.deep.adversarial.dann import AdversaryParams, Dann
from adapters.align.deep.base import Losses, View
from studio.core.faces import LearnerContext
from studio.core.registry import register
from studio.core.streams import Step


class PadaParams(AdversaryParams):
    weight: float = Field(0.3, ge=0, le=1000, description="weight of the alignment beside the classification")
    pretrain: float = Field(
        0.3, ge=0, lt=1, description="share of the training that learns the source alone, before classes are weighed"
    )
    temperature: float = Field(
        0.1, gt=0, le=10, description="what logits are divided by before classes are counted; small ones count votes"
    )


@register("align/pada")
class Pada(Dann):
    """DANN in which a source image counts as much as its class has of the target's predictions, over the largest.

    Cao et al. 2018, eq. 3-4: the weights are those of the whole target after each epoch. The paper starts from a
    pretrained network, whose first predictions say which classes are there; one from scratch has to learn the source
    first (`pretrain`), or all classes are aligned before any is weighed. The paper counts probabilities (`temperature`
    1): what unsure images leave to classes that are not there, all of them count for.
    """

    title = "PADA"
    paper = "Cao et al. 2018, Partial Adversarial Domain Adaptation"
    Params = PadaParams
    setting = "partial"
    _weighs = False
    sees_whole = True

    def aids(self, context: LearnerContext) -> dict[str, nn.Module]:
        shares = nn.Module()
        shares.register_buffer("of_class", torch.ones(len(context.classes)))
        return {**super().aids(context), "shares": shares}

    def see_target(self, features: Tensor, logits: Tensor) -> None:
        self.module.aids["shares"].of_class.copy_(class_shares((logits / self.params.temperature).softmax(dim=1)))

    def align(self, source: View, target: View, at: Step) -> Losses:
        first = int(self.params.pretrain * at.total)
        self._weighs = at.step >= first
        return super().align(source, target, Step(at.step - first, at.total - first)) if self._weighs else {}

    def classify(self, source: View) -> Tensor:
        if not self._weighs:
            return super().classify(source)
        weights = self.module.aids["shares"].of_class
        return cross_entropy(source.logits, source.batch.labels, weight=weights / weights.mean())

    def counts(self, view: View) -> Tensor | None:
        if "labels" not in view.batch:
            return None
        weights = self.module.aids["shares"].of_class[view.batch.labels]
        return weights / weights.mean().clamp_min(1e-6)


def class_shares(probabilities: Tensor) -> Tensor:
    """The mean prediction [C] of the target's probabilities [M, C], over its largest entry."""
    mean = probabilities.mean(dim=0)
    return mean / mean.max()
