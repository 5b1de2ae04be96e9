"""AdvEnt: the network makes its entropy maps of the target look like those of the source."""

from pydantic import Field
from torch import Tensor, nn

from adapters.backbones.pyramid_maps import resized
from adapters.segment.domains.adversarial import AdversarialParams, AdversarialSegmenter
from adapters.segment.domains.base import Losses
from adapters.segment.domains.entropy import entropy_map, self_information
from studio.core.faces import LearnerContext
from studio.core.registry import register
from studio.core.streams import Step, StreamBatches

SLOPE = 0.2  # of the leaky rectifiers


class AdventParams(AdversarialParams):
    entropy: float = Field(0.0, ge=0, le=10, description="weight of the entropy itself (MinEnt); 0 is off")


@register("segment/advent")
class Advent(AdversarialSegmenter):
    """A discriminator learns which domain a map of weighted self-information is of; the network learns to deceive it.

    Section 3.2. `entropy` adds its direct minimisation (MinEnt, section 3.1).
    """

    title = "AdvEnt"
    paper = "Vu et al. 2019, ADVENT: Adversarial Entropy Minimization for Domain Adaptation in Semantic Segmentation"
    Params = AdventParams

    def discriminator(self, context: LearnerContext) -> nn.Module:
        return Discriminator(len(context.classes), self.params.width)

    def told(self, images: Tensor) -> Tensor:
        return self_information(self._full(images))

    def adapt(self, batch: StreamBatches, at: Step) -> Losses:
        logits = self._full(batch.target.images)
        losses = self.deceiving(batch, self_information(logits))
        entropy = batch.target.mean(entropy_map(logits))
        if self.params.entropy:
            losses["entropy"] = self.params.entropy * entropy
        return losses, {"target_entropy": entropy.detach()}

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
