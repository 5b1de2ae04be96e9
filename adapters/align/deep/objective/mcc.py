"""MCC: classes that are confused with each other on the target are kept apart."""

from pydantic import Field
from torch import Tensor

from adapters.align.deep.base import AligningParams, DeepLearner, Losses, View
from adapters.align.deep.discriminator import certainty_weights
from studio.core.registry import register
from studio.core.streams import Step


class MccParams(AligningParams):
    ramp: float = Field(0.0, ge=0, le=100, description="how quickly that weight grows from 0; 0 has it whole at once")
    temperature: float = Field(2.5, gt=0, le=100, description="divides the target's logits, so that doubt shows")


@register("align/mcc")
class Mcc(DeepLearner):
    """Minimum class confusion: how much two classes share images of a batch, images weighed by their certainty.

    Jin et al. 2020, eq. 2-7.
    """

    title = "MCC"
    paper = "Jin et al. 2020, Minimum Class Confusion for Versatile Domain Adaptation"
    formula = (
        r"C = \hat Y^\top \mathrm{diag}(w) \hat Y, \qquad L = "
        r"\frac{1}{|C|}\sum_{j} \sum_{j' \ne j} \lvert \tilde C_{jj'} \rvert"
    )
    Params = MccParams

    def align(self, source: View, target: View, at: Step) -> Losses:
        loss = class_confusion(target.logits / self.params.temperature)
        return {"confusion": self.strength(at) * target.batch.mean(loss)}


def class_confusion(logits: Tensor) -> Tensor:
    """The off-diagonal sum of the normalised class correlation of logits [B, C], over C."""
    predictions = logits.softmax(dim=1)
    correlation = (predictions * certainty_weights(predictions)[:, None]).T @ predictions
    shares = correlation / correlation.sum(dim=1, keepdim=True)
    return (shares.sum() - shares.trace()) / len(shares)
