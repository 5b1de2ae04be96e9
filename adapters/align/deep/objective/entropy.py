"""Entropy minimisation: sure predictions of the target."""

from pydantic import Field

from adapters.align.deep.base import AligningParams, DeepLearner, Losses, View
from adapters.align.deep.discriminator import entropies
from studio.core.registry import register
from studio.core.streams import Step


class EntropyParams(AligningParams):
    weight: float = Field(0.1, ge=0, le=1000, description="weight of the entropy beside the classification")


@register("align/entropy")
class Entropy(DeepLearner):
    """The mean entropy of target predictions is minimised. Grandvalet, Bengio 2004, eq. 6."""

    title = "Entropy minimisation"
    paper = "Grandvalet, Bengio 2004, Semi-supervised Learning by Entropy Minimization"
    formula = r"L = -\frac{1}{m} \sum_j \sum_k p_k(x^t_j) \log p_k(x^t_j)"
    Params = EntropyParams

    def align(self, source: View, target: View, at: Step) -> Losses:
        return {"entropy": self.strength(at) * target.batch.mean(entropies(target.probabilities))}
