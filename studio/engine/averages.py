"""An exponential moving average of the weights."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """Follows the trained parameters and the statistics of `module`: average = d * average + (1 - d) * now.

    d grows from small to `decay` as (1 + step) / (10 + step), so that a short training is not held at its start.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self._live = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self._live |= {name: b for name, b in module.named_buffers() if b.is_floating_point()}
        self.tensors: dict[str, Tensor] = {name: tensor.detach().clone() for name, tensor in self._live.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        for name, tensor in self._live.items():
            self.tensors[name].lerp_(tensor.detach(), share)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """While inside, the module holds the average."""
        before = {name: tensor.detach().clone() for name, tensor in self._live.items()}
        self.load(self.tensors)
        try:
            yield
        finally:
            self.load(before)

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor]) -> None:
        """Puts `tensors` into the module."""
        for name, tensor in self._live.items():
            tensor.detach().copy_(tensors[name])
