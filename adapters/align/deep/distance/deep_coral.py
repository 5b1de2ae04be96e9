"""Deep CORAL: the covariances of the domains' features are brought together."""

from pydantic import Field

from adapters.align.deep.base import AligningParams, DeepLearner, Losses, View
from adapters.align.deep.covariance import coral
from studio.core.registry import register
from studio.core.streams import Step


class DeepCoralParams(AligningParams):
    weight: float = Field(100.0, ge=0, le=1e5, description="weight of the alignment beside the classification")


@register("align/deep-coral")
class DeepCoral(DeepLearner):
    """|C_s - C_t|^2 / (4 d^2) of the bottleneck's features. Sun, Saenko 2016, eq. 1-3.

    The paper weighs it so that both losses end alike; with 256 features that is about 100.
    """

    title = "Deep CORAL"
    paper = "Sun, Saenko 2016, Deep CORAL: Correlation Alignment for Deep Domain Adaptation"
    formula = r"L = \frac{1}{4 d^2} \lVert C_s - C_t \rVert_F^2"
    Params = DeepCoralParams

    def align(self, source: View, target: View, at: Step) -> Losses:
        return {"coral": self.strength(at) * coral(source.features, target.features)}
