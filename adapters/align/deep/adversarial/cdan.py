"""CDAN: the discriminator sees features together with the class that is predicted of them."""

import torch
from pydantic import Field
from torch import Tensor, nn

from adapters.align.deep.adversarial.dann import AdversaryParams
from adapters.align.deep.base import DeepLearner, Losses, View
from adapters.align.deep.discriminator import Discriminator, Side, adversarial, certainty_weights
from studio.core.faces import LearnerContext
from studio.core.registry import register
from studio.core.streams import Step

WIDEST = 4096  # numbers of an outer product; wider ones are taken at random


class CdanParams(AdversaryParams):
    entropy: bool = Field(True, description="images whose class is sure count more (CDAN+E)")
    random: int = Field(
        1024, ge=1, le=16384, description="numbers that stand for the outer product where it has more than 4096"
    )


@register("align/cdan")
class Cdan(DeepLearner):
    """DANN on the outer product of features and predictions; with `entropy` images count 1 + exp(-H).

    Long et al. 2018, eq. 4-6 (product), 7 (random), 10 (entropy). Predictions get no gradient from it.
    """

    title = "CDAN"
    paper = "Long et al. 2018, Conditional Adversarial Domain Adaptation"
    formula = (
        r"T(f, g) = f \otimes g, \qquad \min_{f, g} \max_{d} \; "
        r"L_y - \lambda \, L_d\big(d(T(f, g)), \mathrm{domain}\big)"
    )
    Params = CdanParams

    def aids(self, context: LearnerContext) -> dict[str, nn.Module]:
        width, classes = self.module.dim, len(context.classes)
        wide = width * classes > WIDEST
        joined = RandomProduct(width, classes, self.params.random) if wide else OuterProduct()
        dim = self.params.random if wide else width * classes
        return {"joined": joined, "discriminator": Discriminator(dim, self.params.hidden)}

    def align(self, source: View, target: View, at: Step) -> Losses:
        loss, logged = adversarial(
            self.module.aids["discriminator"], self.side(source), self.side(target), self.strength(at)
        )
        return {"domain": loss}, logged

    def side(self, view: View) -> Side:
        """What the discriminator sees of a domain."""
        probabilities = view.probabilities.detach()
        weights = certainty_weights(probabilities) if self.params.entropy else None
        return Side(view.batch, self.module.aids["joined"](view.features, probabilities), weights)


class OuterProduct(nn.Module):
    """f [B, D] and g [B, C] -> f g^T laid out as [B, C * D]."""

    def forward(self, features: Tensor, predictions: Tensor) -> Tensor:
        return torch.bmm(predictions[:, :, None], features[:, None, :]).flatten(1)


class RandomProduct(nn.Module):
    """(R_f f) * (R_g g) / sqrt(width) [B, width], R random and fixed, as an estimate of the outer product's kernel."""

    def __init__(self, dim: int, classes: int, width: int) -> None:
        super().__init__()
        self.register_buffer("of_features", torch.randn(dim, width))
        self.register_buffer("of_predictions", torch.randn(classes, width))

    def forward(self, features: Tensor, predictions: Tensor) -> Tensor:
        product = (features @ self.of_features) * (predictions @ self.of_predictions)
        return product / self.of_features.shape[1] ** 0.5
