"""Weight averaging: the network that is judged and kept is the running average of the one that learns."""

from copy import deepcopy

from pydantic import Field
from torch import Tensor, nn

from adapters.finetune.classifier import load_into
from adapters.generalize.base import GeneralizeParams, Generalizer
from studio.core.phases import Teacher
from studio.core.registry import register


class EmaParams(GeneralizeParams):
    decay: float = Field(0.99, ge=0, lt=1, description="how much of the average stays at each step; less at first")


@register("generalize/ema")
class Ema(Generalizer):
    """ERM, judged and kept as the exponential moving average of its weights.

    Averages lie in flatter places, and their validation score ranks epochs as the unseen domain does more often
    (Arpit et al. 2022, section 2; there a plain average). Any other method has the same by train.ema.
    """

    title = "Weight averaging (EMA)"
    paper = "Arpit et al. 2022, Ensemble of Averages: Improving Model Selection in Domain Generalization"
    Params = EmaParams

    def build(self, sources: int) -> None:
        self.learning = nn.ModuleDict({"backbone": self.module.backbone, "head": self.module.head})
        self.average = deepcopy(self.learning).requires_grad_(False)
        self.module.aids["average"] = self.average

    def teachers(self) -> list[Teacher]:
        return [Teacher(self.average, self.learning, self.params.decay)]

    def predict(self, images: Tensor) -> Tensor:
        return self.module(images) if not self.averages else self.average.head(self.features(images))

    def features(self, images: Tensor) -> Tensor:
        return self.average.backbone(images) if self.averages else self.module.embed(images)

    @property
    def averages(self) -> bool:
        """Whether it is there to learn; a restored one is the average, and nothing else."""
        return "average" in self.module.aids

    def finish(self) -> None:
        self.load_state(self.state())

    def state(self) -> dict[str, Tensor]:
        return self.average.state_dict() if self.averages else super().state()

    def load_state(self, state: dict[str, Tensor]) -> None:
        load_into(self.module, state, self.state())
        if self.averages:
            self.average.load_state_dict(state)
