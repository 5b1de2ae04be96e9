"""MMD between sources: features of one distribution, as kernels see them."""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from adapters.align.deep.kernels import squared_distances
from adapters.generalize.base import GeneralizeParams, Generalizer, mean_risk
from adapters.generalize.pairs import mean_over_pairs
from studio.core.registry import register
from studio.core.streams import Step, StreamBatches

WIDTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0, 1000.0)  # gamma of each Gaussian kernel, as Gulrajani and Lopez-Paz 2021


class MmdParams(GeneralizeParams):
    strength: float = Field(1.0, ge=0, le=1e4, description="weight of the distance between the sources' features")


@register("generalize/mmd")
class Mmd(Generalizer):
    """Risk plus the squared maximum mean discrepancy of the features of every pair of sources.

    Li et al. 2018, eq. 3 and 8 (there of an autoencoder's code); the kernel is a sum of Gaussians of seven widths.
    """

    title = "MMD"
    paper = "Li et al. 2018, Domain Generalization with Adversarial Feature Learning"
    Params = MmdParams

    def losses(self, batch: StreamBatches, at: Step) -> Any:
        seen = self.see(batch.sources)
        distance = mean_over_pairs([source.features for source in seen], squared_mmd)
        return {"classify": mean_risk(seen), "mmd": self.params.strength * distance}


def squared_mmd(first: Tensor, second: Tensor) -> Tensor:
    """Mean kernel within [N, D] and within [M, D], less twice that between them; the biased estimate, never below 0."""
    return kernel(first, first).mean() + kernel(second, second).mean() - 2 * kernel(first, second).mean()


def kernel(first: Tensor, second: Tensor) -> Tensor:
    """Sum over WIDTHS of exp(-gamma |x - y|^2), [N, M] for features [N, D] and [M, D]."""
    distances = squared_distances(first, second)
    return torch.stack([torch.exp(-gamma * distances) for gamma in WIDTHS]).sum(dim=0)
