"""PADA: classes that the target does not seem to have count less."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from adapters.align.deep.adversarial.dann import Dann
from adapters.align.deep.base import View
from studio.core.faces import LearnerContext
from studio.core.registry import register


@register("align/pada")
class Pada(Dann):
    """DANN in which a source image counts as much as its class has of the target's predictions, over the largest.

    Cao et al. 2018, eq. 3-4: the weights are those of the whole target after each epoch, before that 1.
    """

    title = "PADA"
    paper = "Cao et al. 2018, Partial Adversarial Domain Adaptation"
    setting = "partial"
    sees_whole = True

    def aids(self, context: LearnerContext) -> dict[str, nn.Module]:
        shares = nn.Module()
        shares.register_buffer("of_class", torch.ones(len(context.classes)))
        return {**super().aids(context), "shares": shares}

    def see_target(self, features: Tensor, logits: Tensor) -> None:
        self.module.aids["shares"].of_class.copy_(class_shares(logits.softmax(dim=1)))

    def classify(self, source: View) -> Tensor:
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
