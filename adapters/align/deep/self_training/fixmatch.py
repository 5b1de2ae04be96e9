"""FixMatch: what is sure of a target image is learned of the same image, changed much."""

from pydantic import Field
from torch.nn.functional import cross_entropy

from adapters.align.deep.base import AligningParams, DeepLearner, Losses, View
from studio.core.registry import register
from studio.core.streams import Step


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
    Params = FixMatchParams
    strong = True

    def align(self, source: View, target: View, at: Step) -> Losses:
        surest, guesses = target.probabilities.detach().max(dim=1)
        sure = (surest >= self.params.sure).float()
        losses = cross_entropy(self.module(target.batch.strong), guesses, reduction="none")
        return {"guesses": self.strength(at) * target.batch.mean(sure * losses)}, {"sure": target.batch.mean(sure)}
