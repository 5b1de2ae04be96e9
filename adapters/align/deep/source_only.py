"""No alignment: the network learns the source and is asked about the target as it is."""

from torch import Tensor
from torch.nn.functional import cross_entropy

from adapters.align.deep.base import DeepLearner
from studio.core.registry import register
from studio.core.streams import Batch, Source, Step


@register("align/source-only")
class SourceOnly(DeepLearner):
    """Cross-entropy on the source; the target is looked at to be scored, and trains nothing.

    Every deep method is read beside it: the same network, batches and steps.
    """

    title = "Source only (deep)"
    paper = "baseline"
    streams = (Source,)
    uses = ("data.source", "data.target", "data.test", "train.epochs", "train.lr", "eval.score", "eval.source_only")

    def losses(self, batch: Batch, at: Step) -> dict[str, Tensor]:
        return {"classify": cross_entropy(self.module(batch.images), batch.labels)}
