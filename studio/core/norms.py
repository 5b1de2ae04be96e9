"""Batch normalisation while a pretrained network is trained on."""

from torch import nn

NORMS = (nn.modules.batchnorm._BatchNorm,)


def freeze_statistics(module: nn.Module) -> None:
    """Puts every batch normalisation into eval mode: its running mean and variance stay as pretrained.

    With small batches of a new domain the running statistics drift away from what the weights were
    trained with, and accuracy falls with them.
    """
    for part in module.modules():
        if isinstance(part, NORMS):
            part.eval()
