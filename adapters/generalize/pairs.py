"""Pairs of sources, for methods that compare or mix them."""

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import TypeVar

import torch
from torch import Tensor

Part = TypeVar("Part")


def mean_over_pairs(parts: Sequence[Part], distance: Callable[[Part, Part], Tensor]) -> Tensor:
    """The mean of a distance over every pair of sources, a scalar."""
    return torch.stack([distance(a, b) for a, b in combinations(parts, 2)]).mean()


def ring(parts: Sequence[Part]) -> list[tuple[Part, Part]]:
    """Each source with another, in a random ring that each is twice in, once on either side."""
    order = torch.randperm(len(parts)).tolist()
    return [(parts[a], parts[b]) for a, b in zip(order, order[1:] + order[:1], strict=True)]
