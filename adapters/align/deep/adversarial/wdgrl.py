"""WDGRL: the Wasserstein distance between the domains' features, told by a critic, is made small."""

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from adapters.align.deep.base import AligningParams, DeepLearner, Losses, View
from adapters.align.deep.network import perceptron
from adapters.finetune.full import decay_groups
from studio.core.faces import LearnerContext
from studio.core.phases import Optimizer, Phase
from studio.core.registry import register
from studio.core.streams import Step, StreamBatches
from studio.device.precision import full_precision


class WdgrlParams(AligningParams):
    weight: float = Field(0.1, ge=0, le=1000, description="weight of the distance beside the classification")
    times: int = Field(5, ge=1, le=20, description="steps of the critic for each of the network")
    penalty: float = Field(10.0, ge=0, le=1000, description="weight of the penalty on the critic's slope")
    hidden: int = Field(100, ge=1, le=16384, description="width of the critic's hidden layer")


@register("align/wdgrl")
class Wdgrl(DeepLearner):
    """The critic maximises E_s f - E_t f under a penalty on its slope; the features make it small.

    Shen et al. 2018, eq. 2-5 and algorithm 1.
    """

    title = "WDGRL"
    paper = "Shen et al. 2018, Wasserstein Distance Guided Representation Learning for Domain Adaptation"
    formula = r"W = \max_{\lVert d \rVert_L \le 1} \; \mathbb{E}_{s}[d(f(x))] - \mathbb{E}_{t}[d(f(x))]"
    Params = WdgrlParams

    def aids(self, context: LearnerContext) -> dict[str, nn.Module]:
        return {"critic": perceptron(self.module.dim, self.params.hidden, 1)}

    def optimizers(self, lr: float, weight_decay: float) -> dict[str, Optimizer]:
        return {
            "network": Optimizer(self.network_groups(lr, weight_decay)),
            "critic": Optimizer(decay_groups([self.module.aids["critic"]], lr, weight_decay)),
        }

    def phases(self) -> list[Phase]:
        return [
            Phase("criticise", self.criticise, trains=("critic",), times=self.params.times),
            Phase("learn", self.learn, trains=("network",)),
        ]

    def criticise(self, batch: StreamBatches, at: Step) -> Losses:
        with torch.no_grad():
            source, target = self.look(batch)
        with full_precision(source.features):
            apart = self.distance(source, target)
            slope = slope_penalty(self.module.aids["critic"], source.features, target.features)
        return {"distance": -apart, "slope": self.params.penalty * slope}

    def learn(self, batch: StreamBatches, at: Step) -> Losses:
        source, target = self.look(batch)
        with full_precision(source.features):
            apart = self.distance(source, target)
        classify = cross_entropy(source.logits, batch.source.labels)
        return {"classify": classify, "distance": self.strength(at) * apart}, {"wasserstein": apart.detach()}

    def distance(self, source: View, target: View) -> Tensor:
        """The critic's mean of the source less that of the target."""
        critic = self.module.aids["critic"]
        return source.batch.mean(critic(source.features)) - target.batch.mean(critic(target.features))


def slope_penalty(critic: nn.Module, source: Tensor, target: Tensor) -> Tensor:
    """Mean (|slope| - 1)^2 of the critic at features of both domains and at random places between them."""
    count = min(len(source), len(target))
    source, target = source[:count].detach(), target[:count].detach()
    share = torch.rand(count, 1, device=source.device)
    places = torch.cat([source, target, share * source + (1 - share) * target]).requires_grad_(True)
    (slope,) = torch.autograd.grad(critic(places).sum(), places, create_graph=True)
    return (slope.norm(dim=1) - 1).square().mean()
