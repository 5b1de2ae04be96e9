"""MAML, and its first-order form."""

from torch import nn

from fewshot.meta.gradient import GradientLearner, learn2learn
from studio.core.registry import register


@register("fewshot/maml")
class Maml(GradientLearner):
    """Learns a start from which one or few gradient steps suffice, by differentiating through these steps.

    Finn, Abbeel, Levine 2017, Model-Agnostic Meta-Learning, eq. 1 and algorithm 1; learn2learn's MAML wrapper.
    """

    title = "MAML"
    paper = "Finn et al. 2017, Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks, arXiv:1703.03400"
    formula = (
        r"\theta' = \theta - \alpha \nabla_\theta L_{\mathrm{support}}(\theta), \qquad "
        r"\theta \leftarrow \theta - \beta \nabla_\theta L_{\mathrm{query}}(\theta')"
    )
    first_order = False

    def wrap(self, network: nn.Module) -> nn.Module:
        return learn2learn().algorithms.MAML(
            network, self.params.inner_lr, first_order=self.first_order, allow_unused=True, allow_nograd=True
        )


@register("fewshot/fomaml")
class FirstOrderMaml(Maml):
    """MAML that takes the adapted weights' gradient for the start's: less memory and time, often as good.

    Finn, Abbeel, Levine 2017, Model-Agnostic Meta-Learning, section 5.2; learn2learn's MAML wrapper.
    """

    title = "First-order MAML"
    formula = (
        r"\theta' = \theta - \alpha \nabla_\theta L_{\mathrm{support}}(\theta), "
        r"\qquad \theta \leftarrow \theta - \beta \nabla_{\theta'} L_{\mathrm{query}}(\theta')"
    )
    first_order = True
