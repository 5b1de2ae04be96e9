"""FixMatch: what is sure of a target image is learned of the same image, changed much."""

from pydantic import Field
from torch.nn.functional import cross_entropy

from adapters.align.deep.base import AligningParams, DeepLearner, Losses
from studio.core.registry import register
from studio.core.streams import Step, StreamBatches


class FixMatchParams(AligningParams):
    ramp: float = Field(0.0, ge=0, le=100, description="how quickly that weight grows from 0; 0 has it whole at once")
    sure: float = Field(0.95, ge=0, le=1, description="probability from which a guess is learned")


@register("align/fixmatch")
class FixMatch(DeepLearner):
    """Cross-entropy of the changed image under the guess of the other, where that is sure.

    Sohn et al. 2020, eq. 4; the target is the unlabelled data.
    """

    title = "FixMatch"
    paper = "Sohn et al. 2020, FixMatch: Simplifying Semi-Supervised Learning with Consistency and Confidence"
    formula = (
        r"L = \frac{1}{B} \sum_b \mathbb{1}[\max_k q_b \ge \tau] \; "
        r"H\big(\arg\max_k q_b, \; p(y \mid \mathcal{A}(x_b))\big)"
    )
    Params = FixMatchParams
    strong = True

    def losses(self, batch: StreamBatches, at: Step) -> Losses:
        source, target = self.look(batch)
        surest, guesses = target.probabilities.detach().max(dim=1)
        sure = (surest >= self.params.sure).float()
        losses = cross_entropy(self.module(batch.target.strong), guesses, reduction="none")
        guessed = self.strength(at) * batch.target.mean(sure * losses)
        return {"classify": self.classify(source), "guesses": guessed}, {"sure": batch.target.mean(sure)}
