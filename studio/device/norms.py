"""What stands still while a pretrained network is trained on: batch normalisation, and parts that do not learn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def batch_norms(module: nn.Module) -> list[nn.Module]:
    """Every batch normalisation in a module."""
    from torch.nn.modules.batchnorm import _BatchNorm

    return [part for part in module.modules() if isinstance(part, _BatchNorm)]


def freeze_statistics(module: nn.Module) -> None:
    """Puts every batch normalisation into eval mode: its running mean and variance stay as pretrained.

    With small batches of a new domain the running statistics drift away from what the weights were
    trained with, and accuracy falls with them.
    """
    for part in batch_norms(module):
        part.eval()


def eval_frozen_parts(module: nn.Module) -> None:
    """Puts every part in which nothing learns into eval mode: its statistics stand still, and nothing is dropped."""
    for part in module.modules():
        if not any(parameter.requires_grad for parameter in part.parameters()):
            part.eval()


@contextmanager
def still_statistics(module: nn.Module) -> Iterator[None]:
    """While inside, batches are normalised by themselves, and running statistics do not follow them."""
    norms = batch_norms(module)
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0  # type: ignore[assignment]
    try:
        yield
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum
