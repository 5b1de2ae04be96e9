"""The strong baseline: who it is, and hard triplets, on both sides of a normalising neck."""

from typing import Literal

from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from adapters.reid.base import EmbeddingLearner, EmbeddingParams
from adapters.reid.losses import batch_hard
from studio.core.registry import register


class BaselineParams(EmbeddingParams):
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="share of the target spread over all individuals")
    margin: float = Field(0.3, ge=0, le=5, description="by which a wrong image must be farther; 0 is the soft margin")
    triplet: float = Field(1.0, ge=0, le=100, description="weight of the triplets beside the identities")
    triplets_of: Literal["directions", "features"] = Field(
        "directions", description="triplets compare features of unit length | as they are (the paper's)"
    )


@register("reid/baseline")
class Baseline(EmbeddingLearner):
    """Identities with smoothed labels behind the neck, the hardest triplets of each batch before it.

    Luo et al. 2019: P individuals of K images a batch, random erasing, a neck of batch normalisation, warm-up. Their
    centre loss is left out (it moved mAP by 0.1 there), and the last stride is the backbone's own: for theirs name
    timm/resnet50?output_stride=16. Triplets compare directions, as what is asked afterwards does; theirs compare
    features of any length, whose differences on a network that was trained for classes are far larger than the margin.
    """

    title = "Strong baseline"
    paper = "Luo et al. 2019, Bag of Tricks and a Strong Baseline for Deep Person Re-identification"
    Params = BaselineParams

    def objective(self, features: Tensor, embeddings: Tensor, labels: Tensor) -> dict[str, Tensor]:
        losses = {"identity": self.identity_loss(embeddings, labels, self.params.label_smoothing)}
        if self.params.triplet:
            compared = normalize(features, dim=1) if self.params.triplets_of == "directions" else features
            losses["triplet"] = self.params.triplet * batch_hard(compared, labels, self.params.margin)
        return losses
