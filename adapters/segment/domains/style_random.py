"""Style randomisation: a network for looks it has never seen, which must say the same of an image in other styles."""

import torch
from pydantic import Field
from torch import Tensor
from torch.distributions import Dirichlet

from adapters.segment.domains.base import AroundNetwork, DomainParams, Losses
from studio.core.registry import register
from studio.core.streams import Batch, Step, Train
from studio.data.looks.fda import fda
from studio.data.looks.mean_variance import match_mean_variance, statistics


class StyleRandomParams(DomainParams):
    consistency: float = Field(
        10.0, ge=0, le=100, description="weight of saying the same of both views (SHADE's style consistency); 0 is off"
    )
    band: float = Field(
        0.05,
        ge=0,
        le=0.5,
        description="share of the side up to which frequencies come from another image; 0 is the mean",
    )
    strength: float = Field(
        1.0, ge=0, le=4, description="how far contrast and colours leave those of the batch; 0 is off"
    )


@register("segment/style-random")
class StyleRandom(AroundNetwork):
    """Domain generalization: the source is learned as it is and in a made-up style, and both must be told alike.

    A style is a random mixture of the channels' means and deviations of the batch's images (Zhao et al. 2022, SHADE,
    section 3.2, on pixels in place of features, with Dirichlet weights), stretched by `strength`, then disturbed
    colours, and low frequencies of another image (Yang and Soatto 2020). The consistency is SHADE's: the
    Jensen-Shannon divergence of the two predictions (section 3.1). No target is looked at.
    """

    title = "Style randomisation"
    paper = (
        "Zhao et al. 2022, Style-Hallucinated Dual Consistency Learning for Domain Generalized Semantic Segmentation"
    )
    Params = StyleRandomParams
    streams = (Train,)
    uses = ("data.train", "data.test", "model.image_size", "train.epochs", "train.lr")

    def losses(self, batch: Batch, at: Step) -> Losses:
        styled = self.colours.disturbed(self.styled(batch.images))
        own, other = (self.network.predict(images) for images in (batch.images, styled))
        losses = self.network.mask_losses(own, batch.masks, weight=0.5)
        losses |= self.network.mask_losses(other, batch.masks, "styled_", weight=0.5)
        apart = divergence(own, other).mean()
        if self.params.consistency:
            losses["consistency"] = self.params.consistency * apart
        return losses, {"apart": apart.detach()}

    def styled(self, images: Tensor) -> Tensor:
        """Images in made-up styles, normalised [B, 3, H, W]."""
        shown = self.colours.shown(images)
        others = shown[torch.randperm(len(shown)).to(shown.device)]
        swapped = [fda(image, other, self.params.band) for image, other in zip(shown, others, strict=True)]
        return self.colours.normalized(moved_style(torch.stack(swapped), self.params.strength))


def moved_style(images: Tensor, strength: float) -> Tensor:
    """Images [B, 3, H, W] in 0..1 with means and deviations of a random mixture of theirs, moved at random.

    Every image has weights of its own; `strength` 0 leaves the images as they are.
    """
    if not strength:
        return images
    weights = Dirichlet(torch.ones(len(images))).sample((len(images),)).double()  # [B, B]
    means, deviations = map(torch.stack, zip(*(statistics([image]) for image in images), strict=True))  # [B, 3]
    factors, shifts = torch.rand(2, len(images), 3, dtype=torch.float64) - 0.5
    means = weights.to(means) @ means + 0.2 * strength * shifts.to(means)
    deviations = weights.to(means) @ deviations * (1 + strength * factors.to(means))
    return torch.stack([match_mean_variance(*parts) for parts in zip(images, means, deviations, strict=True)])


def divergence(one: Tensor, two: Tensor) -> Tensor:
    """The Jensen-Shannon divergence of predictions with logits [B, C, h, w], in nats, mean over the places: [B]."""
    a, b = one.float().softmax(1), two.float().softmax(1)
    middle = ((a + b) / 2).clamp_min(1e-8).log()
    both = [(p * (p.clamp_min(1e-8).log() - middle)).sum(1) for p in (a, b)]
    return (sum(both) / 2).mean((1, 2))
