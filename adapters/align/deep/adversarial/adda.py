"""ADDA: once the source is learned, a network for the target learns features that pass for the source's."""

import copy

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus

from adapters.align.deep.base import DeepLearner, DeepParams, Losses
from adapters.align.deep.discriminator import Discriminator, Side, domain_accuracy
from adapters.finetune.full import decay_groups
from studio.core.faces import LearnerContext
from studio.core.phases import Optimizer, Phase
from studio.core.registry import register
from studio.core.streams import Step, StreamBatches


class AddaParams(DeepParams):
    pretrain: float = Field(0.4, gt=0, lt=1, description="share of the training that learns the source alone")
    target_lr: float = Field(0.1, gt=0, le=10, description="learning rate after that, as a multiple of train.lr")
    hidden: int = Field(1024, ge=1, le=16384, description="width of the discriminator's two hidden layers")


@register("align/adda")
class Adda(DeepLearner):
    """Learns the source; then the source's network and head stand still, and a copy adapts to the target.

    The discriminator learns to tell source features from the copy's, the copy to be taken for the source. Tzeng et al.
    2017, eq. 5-8 (eq. 9 untied, with inverted labels).
    """

    title = "ADDA"
    paper = "Tzeng et al. 2017, Adversarial Discriminative Domain Adaptation"
    Params = AddaParams

    def aids(self, context: LearnerContext) -> dict[str, nn.Module]:
        source = copy.deepcopy(nn.ModuleList([self.module.backbone, self.module.bottleneck])).requires_grad_(False)
        return {"source": source, "discriminator": Discriminator(self.module.dim, self.params.hidden)}

    def optimizers(self, lr: float, weight_decay: float) -> dict[str, Optimizer]:
        network, slower = self.network_groups(lr, weight_decay), self.params.target_lr
        encoder = decay_groups([self.module.backbone], lr * slower * self.params.backbone_lr, weight_decay)
        encoder += decay_groups([self.module.bottleneck], lr * slower, weight_decay)
        critic = decay_groups([self.module.aids["discriminator"]], lr, weight_decay)
        return {"network": Optimizer(network), "encoder": Optimizer(encoder), "discriminator": Optimizer(critic)}

    def phases(self) -> list[Phase]:
        return [
            Phase("classify", self.learn_source, trains=("network",)),
            Phase("discriminate", self.discriminate, trains=("discriminator",)),
            Phase("deceive", self.deceive, trains=("encoder",)),
        ]

    def learn_source(self, batch: StreamBatches, at: Step) -> Losses:
        if at.progress >= self.params.pretrain:
            return {}
        return {"classify": cross_entropy(self.module(batch.source.images), batch.source.labels)}

    def discriminate(self, batch: StreamBatches, at: Step) -> Losses:
        if at.progress < self.params.pretrain:
            return {}
        self._keep_source(at)
        discriminator = self.module.aids["discriminator"]
        with torch.no_grad():
            features = self.of_source(batch.source.images), self.module.embed(batch.target.images)
        sides = [Side(domain, one) for domain, one in zip((batch.source, batch.target), features, strict=True)]
        logits = [discriminator(side.features) for side in sides]
        loss = (batch.source.mean(softplus(-logits[0])) + batch.target.mean(softplus(logits[1]))) / 2
        return {"domain": loss}, {"domain_accuracy": domain_accuracy(*sides, *logits)}

    def deceive(self, batch: StreamBatches, at: Step) -> Losses:
        if at.progress < self.params.pretrain:
            return {}
        logits = self.module.aids["discriminator"](self.module.embed(batch.target.images))
        return {"taken_for_source": batch.target.mean(softplus(-logits))}

    def of_source(self, images: Tensor) -> Tensor:
        """Features [B, D] by the network that learned the source."""
        backbone, bottleneck = self.module.aids["source"]
        return bottleneck(backbone(images))

    def train_mode(self, training: bool) -> None:
        super().train_mode(training)
        if "source" in self.module.aids:
            self.module.aids["source"].eval()

    @torch.no_grad()
    def _keep_source(self, at: Step) -> None:
        """Copies the network once, at the first step that adapts."""
        if Step(at.step - 1, at.total).progress < self.params.pretrain:
            now = nn.ModuleList([self.module.backbone, self.module.bottleneck])
            self.module.aids["source"].load_state_dict(now.state_dict())
