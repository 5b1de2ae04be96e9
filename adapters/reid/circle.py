"""Circle loss: each pair of a batch is pulled or pushed by how far it is from where it should be."""

from pydantic import Field
from torch import Tensor

from adapters.reid.base import EmbeddingLearner, EmbeddingParams
from adapters.reid.losses import circle
from studio.core.registry import register


class CircleParams(EmbeddingParams):
    margin: float = Field(0.25, ge=0, lt=1, description="by which pairs are relaxed")
    scale: float = Field(64.0, gt=0, le=1024, description="how sharply the worst pairs count")
    identity: float = Field(1.0, ge=0, le=100, description="weight of the identities beside the pairs")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="share of the target spread over all individuals")


@register("reid/circle")
class Circle(EmbeddingLearner):
    """Pairs of the same individual towards a cosine of 1, others towards 0, the worst ones most.

    Sun et al. 2020, equations 4 to 6, on the pairs of a batch, beside the identities of the strong baseline.
    """

    title = "Circle loss"
    paper = "Sun et al. 2020, Circle Loss: A Unified Perspective of Pair Similarity Optimization"
    formula = (
        r"L = \log\Big(1 + \sum_j e^{\gamma \alpha_n^j (s_n^j - \Delta_n)} "
        r"\sum_i e^{-\gamma \alpha_p^i (s_p^i - \Delta_p)}\Big)"
    )
    Params = CircleParams

    def objective(self, features: Tensor, embeddings: Tensor, labels: Tensor) -> dict[str, Tensor]:
        losses = {"pairs": circle(embeddings, labels, self.params.margin, self.params.scale)}
        if self.params.identity:
            identity = self.identity_loss(embeddings, labels, self.params.label_smoothing)
            losses["identity"] = self.params.identity * identity
        return losses
