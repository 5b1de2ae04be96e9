"""Mixup between sources: what lies between two domains has both labels."""

from typing import Any

import torch
from pydantic import Field
from torch.distributions import Beta
from torch.nn.functional import cross_entropy

from adapters.generalize.base import GeneralizeParams, Generalizer, single
from adapters.generalize.pairs import ring
from studio.core.registry import register
from studio.core.streams import Step, StreamBatches


class MixupParams(GeneralizeParams):
    alpha: float = Field(0.2, gt=0, le=10, description="of the Beta distribution that shares are drawn from")


@register("generalize/mixup")
class Mixup(Generalizer):
    """Images of two sources laid over each other; the loss is of both labels, by their shares.

    Zhang et al. 2018, section 2; between domains as in Yan et al. 2020, eq. 5. One share a pair of sources.
    """

    title = "Inter-domain mixup"
    paper = "Yan et al. 2020, Improve Unsupervised Domain Adaptation with Mixup Training"
    formula = (
        r"\tilde x = \lambda x_i + (1 - \lambda) x_j, \quad \tilde y = \lambda y_i "
        r"+ (1 - \lambda) y_j, \quad \lambda \sim \mathrm{Beta}(\alpha, \alpha)"
    )
    Params = MixupParams

    def losses(self, batch: StreamBatches, at: Step) -> Any:
        losses = []
        for first, second in ring(batch.sources):
            rows = min(len(first), len(second))
            share = float(Beta(self.params.alpha, self.params.alpha).sample())
            mixed = share * first.images[:rows] + (1 - share) * second.images[:rows]
            logits = single(self.module(mixed))
            both = [cross_entropy(logits, source.labels[:rows], reduction="none") for source in (first, second)]
            losses.append(first.mean(share * both[0] + (1 - share) * both[1]))
        return {"classify": torch.stack(losses).mean()}
