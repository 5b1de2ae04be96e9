"""No alignment: the network learns the source and is asked about the target as it is."""

from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from adapters.align.deep.base import DeepLearner, DeepParams
from studio.core.registry import register
from studio.core.streams import Batch, Source, Step


class SourceOnlyParams(DeepParams):
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="share of the target spread over all classes; 0.1 for what align/shot starts from"
    )


@register("align/source-only")
class SourceOnly(DeepLearner):
    """Cross-entropy on the source; the target is looked at to be scored, and trains nothing.

    Every deep method is read beside it: the same network, batches and steps.
    """

    title = "Source only (deep)"
    paper = "baseline"
    Params = SourceOnlyParams
    streams = (Source,)

    def losses(self, batch: Batch, at: Step) -> dict[str, Tensor]:
        logits = self.module(batch.images)
        return {"classify": cross_entropy(logits, batch.labels, label_smoothing=self.params.label_smoothing)}
