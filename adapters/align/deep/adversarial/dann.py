"""DANN: features from which a discriminator can't tell the domains apart, by a reversed gradient."""

from pydantic import Field
from torch import Tensor, nn

from adapters.align.deep.base import AligningParams, DeepLearner, Losses, View
from adapters.align.deep.discriminator import Discriminator, Side, adversarial
from studio.core.faces import LearnerContext
from studio.core.registry import register
from studio.core.streams import Step


class AdversaryParams(AligningParams):
    hidden: int = Field(1024, ge=1, le=16384, description="width of the discriminator's two hidden layers")


@register("align/dann")
class Dann(DeepLearner):
    """The discriminator's loss is minimised by it and, through the reversed gradient, maximised by the features.

    Ganin et al. 2016, eq. 9-10 and 15; the reversal grows as 2 / (1 + exp(-10 p)) - 1 (section 5.2.2).
    """

    title = "DANN"
    paper = "Ganin et al. 2016, Domain-Adversarial Training of Neural Networks"
    formula = r"\min_{f, h} \max_{d} \; L_y(h(f(x_s)), y_s) - \lambda \, L_d(d(f(x)), \mathrm{domain})"
    Params = AdversaryParams

    def aids(self, context: LearnerContext) -> dict[str, nn.Module]:
        return {"discriminator": Discriminator(self.module.dim, self.params.hidden)}

    def align(self, source: View, target: View, at: Step) -> Losses:
        sides = (Side(view.batch, view.features, self.counts(view)) for view in (source, target))
        loss, logged = adversarial(self.module.aids["discriminator"], *sides, self.strength(at))
        return {"domain": loss}, logged

    def counts(self, view: View) -> Tensor | None:
        """How much each image of a domain counts [B]; None: equally."""
        return None
