"""BNM: predictions of a batch of the target that are sure, and of many classes."""

import torch
from torch import Tensor

from adapters.align.deep.base import AligningParams, DeepLearner, Losses, View
from studio.core.registry import register
from studio.core.streams import Step


@register("align/bnm")
class Bnm(DeepLearner):
    """Batch nuclear-norm maximisation: minus the nuclear norm of the predictions [B, C], over B.

    Cui et al. 2020, eq. 10.
    """

    title = "BNM"
    paper = "Cui et al. 2020, Towards Discriminability and Diversity: Batch Nuclear-norm Maximization"
    formula = (
        r"L = -\frac{1}{B} \lVert P \rVert_{*}, \qquad P \in \mathbb{R}^{B "
        r"\times C} \text{ the predictions of a target batch}"
    )
    Params = AligningParams

    def align(self, source: View, target: View, at: Step) -> Losses:
        return {"nuclear_norm": -self.strength(at) * target.batch.mean(nuclear_norm(target.probabilities))}


def nuclear_norm(predictions: Tensor) -> Tensor:
    """Sum of the singular values of predictions [B, C], over B."""
    return torch.linalg.svdvals(predictions.float()).sum() / len(predictions)
