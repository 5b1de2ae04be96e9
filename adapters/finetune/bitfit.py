"""BitFit: only the biases and the head are trained."""

from pydantic import Field

from adapters.finetune.full import Full, FullParams
from studio.core.errors import UsageError
from studio.core.faces import LearnerContext
from studio.core.registry import register


class BitFitParams(FullParams):
    backbone_lr: float = Field(1.0, ge=0, le=10, description="learning rate of the biases, as a multiple of train.lr")


@register("finetune/bitfit")
class BitFit(Full):
    """Trains the bias terms of the backbone and the new head; every other weight stays.

    Ben Zaken et al. 2022, section 3, carried over from language to vision models.
    """

    title = "BitFit: biases only"
    paper = "Ben Zaken et al. 2022, BitFit"
    Params = BitFitParams
    whole = False

    def adapt(self, context: LearnerContext) -> None:
        found = False
        for name, parameter in self.module.backbone.named_parameters():
            parameter.requires_grad_(name.endswith("bias"))
            found = found or parameter.requires_grad
        if not found:
            raise UsageError("finetune/bitfit: this backbone has no bias to train; finetune/lora fits it.")
