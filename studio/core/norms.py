"""Batch normalisation while a pretrained network is trained on."""

from __future__ import annotations

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
