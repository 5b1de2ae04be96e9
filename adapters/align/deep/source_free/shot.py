"""SHOT: sure and diverse predictions under the source's head, and pseudo-labels by the target's own class centres."""

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize, one_hot

from adapters.align.deep.base import Losses, View
from adapters.align.deep.discriminator import entropies
from adapters.align.deep.source_free.base import Memory, SourceFree, SourceFreeParams, images_of
from studio.core.faces import LearnerContext
from studio.core.registry import register
from studio.core.streams import Step


class ShotParams(SourceFreeParams):
    pseudo: float = Field(0.3, ge=0, le=10, description="weight of the pseudo-labels; 0 is SHOT-IM")
    rounds: int = Field(2, ge=1, le=10, description="how often the class centres are found anew for pseudo-labels")


@register("align/shot")
class Shot(SourceFree):
    """Entropy of each prediction less that of their mean, and cross-entropy with labels of the nearest class centre.

    Liang et al. 2020, eq. 3-7. Centres are of the whole target after each epoch, by cosine. The source's label
    smoothing (eq. 1) is a matter of the checkpoint.
    """

    title = "SHOT"
    paper = "Liang et al. 2020, Do We Really Need to Access the Source Data? Source Hypothesis Transfer"
    Params = ShotParams

    def adapt(self, view: View, at: Step) -> Losses:
        mean = view.probabilities.mean(dim=0)
        losses = {"entropy": entropies(view.probabilities).mean(), "diversity": -entropies(mean[None]).sum()}
        if self.params.pseudo:
            labels = self.module.aids["memory"].labels[view.batch.index]
            losses["pseudo"] = self.params.pseudo * cross_entropy(view.logits, labels)
        return losses

    def aids(self, context: LearnerContext) -> dict[str, nn.Module]:
        return {"memory": Memory(labels=torch.zeros(images_of(context), dtype=torch.int64))}

    def see_target(self, features: Tensor, logits: Tensor) -> None:
        labels = pseudo_labels(features, logits.softmax(dim=1), self.params.rounds)
        self.module.aids["memory"].keep(labels=labels)


def pseudo_labels(features: Tensor, probabilities: Tensor, rounds: int = 2) -> Tensor:
    """The class [N] whose centre is nearest, by cosine, of features [N, D] and probabilities [N, C].

    Centres are first weighted by the probabilities, then by the labels found. Classes that nothing is given are out.
    """
    features = normalize(torch.cat([features, torch.ones_like(features[:, :1])], dim=1), dim=1)
    shares = probabilities
    for _ in range(rounds):
        present = shares.sum(dim=0) > 1e-6
        centres = normalize(shares.T @ features, dim=1)
        labels = (features @ centres.T).masked_fill(~present, -torch.inf).argmax(dim=1)
        shares = one_hot(labels, probabilities.shape[1]).to(probabilities)
    return labels
