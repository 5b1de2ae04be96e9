"""Methods that learn a space in which a head can compare: the training loss is the head's own cross-entropy."""

from torch import Tensor

from fewshot.meta.base import MetaLearner, cross_entropy, embedded
from studio.core.streams import Batch, Step


class MetricLearner(MetaLearner):
    """Episodes are embedded together and scored by `head`, in training as later."""

    def losses(self, batch: Batch, at: Step) -> dict[str, Tensor]:
        episodes, truth = embedded(self.embed, batch)
        return {"loss": cross_entropy(self.head().scores(episodes), truth)}
