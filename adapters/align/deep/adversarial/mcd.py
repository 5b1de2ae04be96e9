"""MCD: two heads that disagree about the target, and features on which they agree."""

from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from adapters.align.deep.base import DeepLearner, DeepParams, Losses
from adapters.align.deep.network import AligningNetwork, perceptron
from adapters.finetune.full import decay_groups
from studio.core.faces import LearnerContext
from studio.core.phases import Optimizer, Phase
from studio.core.registry import register
from studio.core.streams import Batch, Step, StreamBatches
from studio.device.precision import full_precision


class McdParams(DeepParams):
    times: int = Field(4, ge=1, le=20, description="steps of the features for each of the heads")


class TwoHeads(nn.Module):
    """Features [B, D] -> the sum of both heads' logits [B, C]."""

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__()
        self.one, self.two = perceptron(dim, dim, classes), perceptron(dim, dim, classes)

    def forward(self, features: Tensor) -> Tensor:
        return self.one(features) + self.two(features)


@register("align/mcd")
class Mcd(DeepLearner):
    """Both heads learn the source; then to differ about the target; then the features learn to make them agree.

    Saito et al. 2018, eq. 3-9, discrepancy eq. 9: the mean |p1 - p2|. Both heads answer together.
    """

    title = "MCD"
    paper = "Saito et al. 2018, Maximum Classifier Discrepancy for Unsupervised Domain Adaptation"
    formula = r"\min_{f} \max_{h_1, h_2} \; \mathbb{E}_t \, \lvert p_1(y \mid x) - p_2(y \mid x) \rvert"
    Params = McdParams

    def network(self, context: LearnerContext) -> AligningNetwork:
        network = super().network(context)
        network.head = TwoHeads(network.dim, len(context.classes))
        return network

    def optimizers(self, lr: float, weight_decay: float) -> dict[str, Optimizer]:
        features = decay_groups([self.module.backbone], lr * self.params.backbone_lr, weight_decay)
        features += decay_groups([self.module.bottleneck], lr, weight_decay)
        return {
            "features": Optimizer(features),
            "heads": Optimizer(decay_groups([self.module.head], lr, weight_decay)),
        }

    def phases(self) -> list[Phase]:
        return [
            Phase("classify", self.learn_source, trains=("features", "heads")),
            Phase("disagree", self.disagree, trains=("heads",)),
            Phase("agree", self.agree, trains=("features",), times=self.params.times),
        ]

    def learn_source(self, batch: StreamBatches, at: Step) -> Losses:
        features, heads = self.module.embed(batch.source.images), self.module.head
        return {
            name: cross_entropy(head(features), batch.source.labels)
            for name, head in (("one", heads.one), ("two", heads.two))
        }

    def disagree(self, batch: StreamBatches, at: Step) -> Losses:
        return {**self.learn_source(batch, at), "discrepancy": -self.discrepancy(batch.target)}

    def agree(self, batch: StreamBatches, at: Step) -> Losses:
        return {"discrepancy": self.discrepancy(batch.target)}

    def discrepancy(self, target: Batch) -> Tensor:
        """Mean absolute difference of the heads' predictions of the target."""
        features, heads = self.module.embed(target.images).float(), self.module.head
        with full_precision(features):
            return target.mean((heads.one(features).softmax(dim=1) - heads.two(features).softmax(dim=1)).abs())
