"""Exponential moving averages: of the weights that are judged and kept, and of a learner's teachers."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from studio.core.faces import Learner
from studio.core.phases import Teacher


class Average:
    """average = d * average + (1 - d) * now, of the tensors `now` by name.

    d is `decay`; where `warm` it grows to it from small as (1 + step) / (10 + step), so that a short training is not
    held at its start.
    """

    def __init__(self, now: dict[str, Tensor], average: dict[str, Tensor], decay: float, warm: bool = True) -> None:
        self.now, self.tensors, self.decay, self.warm = now, average, decay, warm

    @classmethod
    def of_trained(cls, module: nn.Module, decay: float) -> "Average":
        """Of the trained parameters and the statistics of `module`, beside it."""
        now = {name: p for name, p in module.named_parameters() if p.requires_grad}
        now |= {name: b for name, b in module.named_buffers() if b.is_floating_point()}
        return cls(now, {name: tensor.detach().clone() for name, tensor in now.items()}, decay)

    @classmethod
    def within(cls, teacher: Teacher) -> "Average":
        """That which is a module itself."""
        return cls(_tensors(teacher, teacher.follows), _tensors(teacher, teacher.module), teacher.decay, teacher.warm)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Follows what the tensors are after this step."""
        share = 1 - (min(self.decay, (1 + step) / (10 + step)) if self.warm else self.decay)
        for name, tensor in self.now.items():
            average = self.tensors[name]
            average.lerp_(tensor.detach(), share) if average.is_floating_point() else average.copy_(tensor)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """While inside, the module holds the average."""
        before = {name: tensor.detach().clone() for name, tensor in self.now.items()}
        self.load(self.tensors)
        try:
            yield
        finally:
            self.load(before)

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor]) -> None:
        """Puts `tensors` into the module."""
        for name, tensor in self.now.items():
            tensor.detach().copy_(tensors[name])


def _tensors(teacher: Teacher, module: nn.Module) -> dict[str, Tensor]:
    return dict(module.named_parameters()) | (dict(module.named_buffers()) if teacher.buffers else {})


def follow(learner: Learner, step: int) -> None:
    """Moves the teachers of a learner that is stepped by hand."""
    for teacher in learner.teachers():
        Average.within(teacher).update(step)
