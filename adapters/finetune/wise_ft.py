"""WiSE-FT: between the weights before and after fine-tuning."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field
from torch import Tensor, nn

from adapters.finetune.classifier import Classifier, load_into, whole_state
from adapters.finetune.linear_probe import LinearProbe, LinearProbeParams
from studio.core.faces import Learner, LearnerContext
from studio.core.registry import Params, register

if TYPE_CHECKING:
    import numpy as np


class WiseFtParams(Params):
    alpha: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="share of the fine-tuned weights; null takes the best of several on the validation images"
    )
    steps: int = Field(10, ge=1, le=100, description="how many equal steps from 0 to 1 are tried")
    c: Annotated[float, Field(gt=0, le=1e6)] | None = Field(
        None, description="inverse strength of the starting probe's L2 penalty; null chooses it by cross-validation"
    )


@register("finetune/wise-ft")
class WiseFt(Learner):
    """(1 - alpha) w0 + alpha w1, w1 a finished full or LP-FT checkpoint (model.checkpoint), w0 where it started.

    w0 is the untouched backbone with a linear probe as its head, which is where LP-FT starts. Nothing is
    trained: several alphas are scored on the validation images. Wortsman et al. 2022, eq. 1.
    """

    title = "WiSE-FT: weights between before and after"
    paper = "Wortsman et al. 2022, Robust fine-tuning of zero-shot models"
    formula = r"\theta_\alpha = (1 - \alpha) \, \theta_{\mathrm{zero}} + \alpha \, \theta_{\mathrm{tuned}}"
    task = "classify"
    Params = WiseFtParams
    interpolates = True
    needs_features = True
    module: Classifier

    def setup(self, context: LearnerContext) -> nn.Module:
        self.module = Classifier(context.backbone, len(context.classes), seed=context.seed)
        return self.module

    def start_from(self, features: "np.ndarray", labels: "np.ndarray") -> None:
        probe = LinearProbe(LinearProbeParams(c=self.params.c))
        solved: nn.Linear = probe.fit(features, labels, classes=self.module.head.out_features).linear()
        self.module.head.load_state_dict(solved.state_dict())

    def alphas(self) -> list[float]:
        if self.params.alpha is not None:
            return [self.params.alpha]
        return [step / self.params.steps for step in range(self.params.steps + 1)]

    def predict(self, images: Tensor) -> Tensor:
        return self.module(images)

    def features(self, images: Tensor) -> Tensor:
        return self.module.embed(images)

    def state(self) -> dict[str, Tensor]:
        return whole_state(self.module)

    def load_state(self, state: dict[str, Tensor]) -> None:
        load_into(self.module, state, self.state())
