"""Meta-SGD."""

from torch import Tensor, nn

from fewshot.meta.gradient import GradientLearner, learn2learn
from studio.core.errors import UsageError
from studio.core.registry import register

LRS = "lrs."


@register("fewshot/meta-sgd")
class MetaSgd(GradientLearner):
    """MAML that also learns the step length of every single weight; `inner_lr` is where these start.

    Li et al. 2017, Meta-SGD, eq. 3 and 4; learn2learn's MetaSGD wrapper.
    """

    title = "Meta-SGD"
    paper = "Li et al. 2017, Meta-SGD: Learning to Learn Quickly for Few-Shot Learning, arXiv:1707.09835"
    formula = (
        r"\theta' = \theta - \alpha \odot \nabla_\theta L_{\mathrm{support}}(\theta), \qquad (\theta, "
        r"\alpha) \leftarrow (\theta, \alpha) - \beta \nabla_{(\theta, \alpha)} L_{\mathrm{query}}(\theta')"
    )

    def wrap(self, network: nn.Module) -> nn.Module:
        if not all(parameter.requires_grad for parameter in network.parameters()):
            raise UsageError(f"{self.id} learns a step length for every weight; a backbone with frozen ones won't do.")
        return learn2learn().algorithms.MetaSGD(network, self.params.inner_lr)

    def state(self) -> dict[str, Tensor]:
        return {**super().state(), **{LRS + name: value for name, value in self.module.lrs.state_dict().items()}}

    def load_state(self, state: dict[str, Tensor]) -> None:
        super().load_state({name: value for name, value in state.items() if not name.startswith(LRS)})
        lrs = {name.removeprefix(LRS): value for name, value in state.items() if name.startswith(LRS)}
        self.module.lrs.load_state_dict(lrs)
