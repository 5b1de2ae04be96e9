"""BSS: the smallest singular values of a batch's features are shrunk."""

import torch
from torch import Tensor

from adapters.finetune.regularizers.base import Forward, Regularizer

SMALLEST = 1  # k, how many singular values are shrunk


class Bss(Regularizer):
    """The sum of squares of the k smallest singular values of the features [B, D].

    Directions with small singular values are those that do not transfer. Chen et al. 2019, eq. 7.
    """

    name = "bss"
    paper = "Chen et al. 2019, Catastrophic Forgetting Meets Negative Transfer: Batch Spectral Shrinkage"
    default_strength = 0.001

    def penalty(self, forward: Forward) -> Tensor:
        with torch.autocast(forward.features.device.type, enabled=False):
            values = torch.linalg.svdvals(forward.features.float())
        return values[-SMALLEST:].square().sum()
