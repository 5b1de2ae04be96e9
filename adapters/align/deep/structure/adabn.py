"""AdaBN: weights of the source, batch-norm statistics of the target."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from adapters.align.deep.base import DeepLearner
from studio.core.errors import UsageError
from studio.core.faces import LearnerContext
from studio.core.registry import register
from studio.core.streams import Step, StreamBatches
from studio.device.norms import batch_norms, still_statistics


@register("align/adabn")
class AdaBn(DeepLearner):
    """The source trains the weights, in batches of its own; the running statistics follow the target's batches alone.

    Li et al. 2016, algorithm 1, with running averages in the place of one pass over the whole target.
    """

    title = "AdaBN"
    paper = "Li et al. 2016, Revisiting Batch Normalization For Practical Domain Adaptation"
    moves_statistics = True

    def setup(self, context: LearnerContext) -> nn.Module:
        module = super().setup(context)
        if not batch_norms(module.backbone):
            raise UsageError("model.backbone: align/adabn works on batch normalisations, and this network has none.")
        return module

    def losses(self, batch: StreamBatches, at: Step) -> dict[str, Tensor]:
        with still_statistics(self.module):
            classify = cross_entropy(self.module(batch.source.images), batch.source.labels)
        with torch.no_grad():
            self.module(batch.target.images)
        return {"classify": classify}
