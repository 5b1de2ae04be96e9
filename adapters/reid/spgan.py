"""SPGAN: the source's images get the target's look, each still itself, and the strong baseline learns from them."""

from pydantic import Field

from adapters.reid.baseline import Baseline, BaselineParams
from studio.core.registry import register


class SpganParams(BaselineParams):
    translator_epochs: int = Field(
        10, ge=1, le=10_000, description="passes over the larger place while the look is learned"
    )
    translator_width: int = Field(
        32, ge=4, le=256, description="channels of the networks that translate; fewer are quicker"
    )
    translator_batch: int = Field(4, ge=1, le=256, description="images of each place in a step of the translation")
    similarity: float = Field(
        2.0, ge=0, le=100, description="weight of staying oneself and unlike anybody of the target; 0 is CycleGAN"
    )
    similarity_margin: float = Field(
        2.0, gt=0, le=2, description="how far apart a translated image and the target's are wanted: 0 to 2"
    )


@register("reid/spgan")
class Spgan(Baseline):
    """A translation between both places is learned without any label; then the translated source is, with its labels.

    Deng et al. 2018: the similarity preserving GAN of section 3.2 (see `translation`), then the feature learning of
    section 3.3 by the strong baseline, without their local max pooling. Direct transfer of the untranslated source
    stands beside the result.
    """

    title = "SPGAN"
    paper = "Deng et al. 2018, Image-Image Domain Adaptation with Preserved Self-Similarity and Domain-Dissimilarity"
    uses = (
        "data.source", "data.target", "data.aspect", "model.image_size", "train.epochs", "train.lr", "train.batch_size",
    )  # fmt: skip
    Params = SpganParams
    needs_source = True

    @classmethod
    def adapts(cls) -> bool:
        """The target's images teach the translation; batches of the training itself are of the source alone."""
        return True
