"""TENT for masks: each image is made surer of as it is predicted, by scales and shifts of normalisations alone."""

from pydantic import Field
from torch import Tensor

from adapters.align.deep.test_time.base import MovingNorms
from adapters.segment.domains.base import DomainParams, DomainSegmenter
from adapters.segment.domains.entropy import entropy_map
from studio.core.registry import register
from studio.core.streams import Target


class TentParams(DomainParams):
    prior: float = Field(
        16.0, ge=0, le=1e6, description="images that the source's batch-norm statistics count as beside a batch's own"
    )
    reset: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="back to the source where predictions are spread over fewer classes than this share of what they "
        "were at first; 0: never",
    )


@register("segment/tent")
class TentMasks(MovingNorms, DomainSegmenter):
    """Minimises the mean entropy of the pixels of each batch of target images, which are answered before they teach.

    Wang et al. 2021, equation 1; batch statistics mixed with the source's as in Schneider et al. 2020, equations 3-4.
    Long streams of night scenes end in few classes: `reset` goes back to the source then. The network is that of
    `model.checkpoint`, whatever method made it; `network` need not be named.
    """

    title = "TENT (masks)"
    paper = "Wang et al. 2021, Tent: Fully Test-Time Adaptation by Entropy Minimization"
    Params = TentParams
    streams = (Target,)
    uses = ("data.target", "data.test", "model.checkpoint", "train.lr", "train.batch_size")
    views = 1
    needs_checkpoint = True

    def answer(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [B, C, h, w], twice: what stands for features, and what is answered."""
        logits = self.network.predict(images)
        return logits, logits

    def objective(self, features: Tensor, logits: Tensor) -> dict[str, Tensor]:
        return {"entropy": entropy_map(logits).mean()}
