"""AdvEnt: the network makes its entropy maps of the target look like those of the source."""

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import softplus

from adapters.backbones.pyramid_maps import resized
from adapters.segment.domains.base import DomainParams, DomainSegmenter, Losses
from adapters.segment.domains.entropy import entropy_map, self_information
from studio.core.faces import LearnerContext
from studio.core.phases import ALL, Optimizer, Phase
from studio.core.registry import register
from studio.core.streams import Step, StreamBatches

SLOPE = 0.2  # of the leaky rectifiers


class AdventParams(DomainParams):
    adversary: float = Field(0.001, ge=0, le=10, description="weight of deceiving the discriminator")
    entropy: float = Field(0.0, ge=0, le=10, description="weight of the entropy itself (MinEnt); 0 is off")
    width: int = Field(64, ge=4, le=512, description="channels of the discriminator's first layer")
    discriminator_lr: float = Field(0.0001, gt=0, le=1, description="learning rate of the discriminator")


@register("segment/advent")
class Advent(DomainSegmenter):
    """A discriminator learns which domain a map of weighted self-information is of; the network learns to deceive it.

    Two phases a step: the network's, and the discriminator's (section 3.2). `entropy` adds its direct
    minimisation (MinEnt, section 3.1).
    """

    title = "AdvEnt"
    paper = "Vu et al. 2019, ADVENT: Adversarial Entropy Minimization for Domain Adaptation in Semantic Segmentation"
    Params = AdventParams

    def aids(self, context: LearnerContext) -> dict[str, nn.Module]:
        return {"discriminator": Discriminator(len(context.classes), self.params.width)}

    def optimizers(self, lr: float, weight_decay: float) -> dict[str, Optimizer]:
        discriminator = {"params": list(self.module.aids.parameters()), "lr": self.params.discriminator_lr}
        adam = Optimizer([discriminator], lambda groups: torch.optim.Adam(groups, betas=(0.9, 0.99)))
        return {"network": super().optimizers(lr, weight_decay)[ALL], "discriminator": adam}

    def phases(self) -> list[Phase]:
        return [
            Phase("segment", self.losses, trains=("network",)),
            Phase("discriminate", self.discriminate, trains=("discriminator",)),
        ]

    def adapt(self, batch: StreamBatches, at: Step) -> Losses:
        logits = self._full(batch.target.images)
        taken_for_source = softplus(-self.is_source(logits)).mean((1, 2, 3))
        losses = {"adversary": self.params.adversary * batch.target.mean(taken_for_source)}
        entropy = batch.target.mean(entropy_map(logits))
        if self.params.entropy:
            losses["entropy"] = self.params.entropy * entropy
        return losses, {"target_entropy": entropy.detach()}

    def discriminate(self, batch: StreamBatches, at: Step) -> Losses:
        with torch.no_grad():
            source, target = self._full(batch.source.images), self._full(batch.target.images)
        of_source, of_target = self.is_source(source), self.is_source(target)
        loss = batch.source.mean(softplus(-of_source)) + batch.target.mean(softplus(of_target))
        right = batch.source.mean((of_source > 0).float()) + batch.target.mean((of_target < 0).float())
        return {"domain": loss / 2}, {"domain_accuracy": right / 2}

    def is_source(self, logits: Tensor) -> Tensor:
        """Above 0 where the discriminator takes a place for the source's, [B, 1, h, w]."""
        return self.module.aids["discriminator"](self_information(logits))

    def _full(self, images: Tensor) -> Tensor:
        """Logits at the size of the images."""
        return resized(self.network.predict(images).float(), images.shape[-2:])


class Discriminator(nn.Sequential):
    """Maps [B, C, H, W] -> logits [B, 1, H / 32, W / 32]: five strided layers, as in section 4.1."""

    def __init__(self, channels: int, width: int) -> None:
        widths = [channels, width, 2 * width, 4 * width, 8 * width]
        layers: list[nn.Module] = []
        for inside, outside in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv2d(inside, outside, 4, 2, 1), nn.LeakyReLU(SLOPE)]
        super().__init__(*layers, nn.Conv2d(widths[-1], 1, 4, 2, 1))
