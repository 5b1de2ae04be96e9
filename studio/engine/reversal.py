"""The gradient reversal layer: features learn to hide what a network behind it learns to see."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def reverse(features: "Tensor", coefficient: float = 1.0) -> "Tensor":
    """The features as they are; their gradient times -coefficient. Ganin, Lempitsky 2015, section 3.

    A coefficient that grows with the training is `at.ramp(10.0)` (Ganin et al. 2016, section 5.2.2).
    """
    same = features.view_as(features)
    if same.requires_grad:
        same.register_hook(lambda gradient: -coefficient * gradient)
    return same
