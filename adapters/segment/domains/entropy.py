"""The entropy of class maps, pixel by pixel."""

import math

from torch import Tensor


def self_information(logits: Tensor) -> Tensor:
    """Weighted self-information -p log p / log C of every class at every place, float [B, C, h, w], of logits.

    Its sum over the classes is the entropy map, 0..1. Vu et al. 2019, ADVENT, section 3.
    """
    logs = logits.float().log_softmax(dim=1)  # of a class that is ruled out the gradient is 0, not 0 times infinity
    return -(logs.exp() * logs) / math.log(max(2, logits.shape[1]))


def entropy_map(logits: Tensor) -> Tensor:
    """How unsure each place is, [B, h, w] in 0..1."""
    return self_information(logits).sum(dim=1)


def robust_entropy(logits: Tensor, eta: float) -> Tensor:
    """The mean over places of (entropy^2 + 0.001^2)^eta, [B]. Yang and Soatto 2020, FDA, section 3.2."""
    return (entropy_map(logits).square() + 1e-6).pow(eta).mean((1, 2))
