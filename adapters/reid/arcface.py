"""ArcFace: individuals as directions, told apart by an angle that is kept free between them."""

from pydantic import Field
from torch import Tensor

from adapters.reid.base import EmbeddingLearner, EmbeddingParams
from adapters.reid.losses import arc_margin
from studio.core.registry import register


class ArcFaceParams(EmbeddingParams):
    margin: float = Field(0.5, ge=0, le=1.5, description="angle that is kept free, in radians")
    scale: float = Field(30.0, gt=0, le=256, description="by which cosines are multiplied; 64 for many individuals")


@register("reid/arcface")
class ArcFace(EmbeddingLearner):
    """The classifier's logits are cosines, and the angle to the own one is made wider: s cos(theta + m).

    Deng et al. 2019, equation 3. Nothing but identities is needed; batches may hold one image of each.
    """

    title = "ArcFace"
    paper = "Deng et al. 2019, ArcFace: Additive Angular Margin Loss for Deep Face Recognition"
    formula = (
        r"L = -\log \frac{e^{s \cos(\theta_y + m)}}{e^{s "
        r"\cos(\theta_y + m)} + \sum_{j \ne y} e^{s \cos \theta_j}}"
    )
    Params = ArcFaceParams

    def objective(self, features: Tensor, embeddings: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return {"identity": arc_margin(self.cosines(embeddings), labels, self.params.margin, self.params.scale)}
