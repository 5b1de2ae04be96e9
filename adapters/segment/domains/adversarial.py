"""What methods with a discriminator share: it tells domains apart by maps, and the network learns to deceive it."""

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import softplus

from adapters.segment.domains.base import DomainParams, DomainSegmenter, Losses
from studio.core.faces import LearnerContext
from studio.core.phases import ALL, Optimizer, Phase
from studio.core.streams import Step, StreamBatches


class AdversarialParams(DomainParams):
    adversary: float = Field(0.001, ge=0, le=10, description="weight of deceiving the discriminator; 0 is off")
    width: int = Field(64, ge=4, le=512, description="channels of the discriminator's first layer")
    discriminator_lr: float = Field(0.0001, gt=0, le=1, description="learning rate of the discriminator")


class AdversarialSegmenter(DomainSegmenter):
    """Two phases a step: the network's, and the discriminator's. A subclass says which maps the latter is `told`.

    At `adversary` 0 there is no discriminator.
    """

    Params = AdversarialParams

    def aids(self, context: LearnerContext) -> dict[str, nn.Module]:
        return {"discriminator": self.discriminator(context)} if self.params.adversary else {}

    def discriminator(self, context: LearnerContext) -> nn.Module:
        """A module from maps [B, D, H, W] to logits [B, 1, h, w], above 0 where a place is the source's."""
        raise NotImplementedError

    def told(self, images: Tensor) -> Tensor:
        """The maps [B, D, H, W] of images that the discriminator gets."""
        raise NotImplementedError

    def optimizers(self, lr: float, weight_decay: float) -> dict[str, Optimizer]:
        optimizers = {"network": super().optimizers(lr, weight_decay)[ALL]}
        if self.params.adversary:
            discriminator = {"params": list(self.module.aids.parameters()), "lr": self.params.discriminator_lr}
            optimizers["discriminator"] = Optimizer(
                [discriminator], lambda groups: torch.optim.Adam(groups, betas=(0.9, 0.99))
            )
        return optimizers

    def phases(self) -> list[Phase]:
        phases = [Phase("segment", self.losses, trains=("network",))]
        if self.params.adversary:
            phases.append(Phase("discriminate", self.discriminate, trains=("discriminator",)))
        return phases

    def deceiving(self, batch: StreamBatches, told: Tensor) -> dict[str, Tensor]:
        """The loss of maps of the target that the discriminator knows for the target's."""
        if not self.params.adversary:
            return {}
        known = softplus(-self.is_source(told)).mean((1, 2, 3))
        return {"adversary": self.params.adversary * batch.target.mean(known)}

    def discriminate(self, batch: StreamBatches, at: Step) -> Losses:
        with torch.no_grad():
            source, target = self.told(self.seen(batch).images), self.told(batch.target.images)
        of_source, of_target = self.is_source(source), self.is_source(target)
        loss = batch.source.mean(softplus(-of_source)) + batch.target.mean(softplus(of_target))
        right = batch.source.mean((of_source > 0).float()) + batch.target.mean((of_target < 0).float())
        return {"domain": loss / 2}, {"domain_accuracy": right / 2}

    def is_source(self, told: Tensor) -> Tensor:
        return self.module.aids["discriminator"](told)
