"""A backbone with a linear head on it: the module that the fine-tuning methods train."""

import torch
from torch import Tensor, nn

NORMS = (nn.modules.batchnorm._BatchNorm,)


class Classifier(nn.Module):
    """images [B, 3, H, W] (normalised) -> logits [B, C]."""

    def __init__(self, backbone: nn.Module, classes: int, dropout: float = 0.0, seed: int = 0) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(backbone.dim, classes)
        start = torch.Generator().manual_seed(seed)
        nn.init.trunc_normal_(self.head.weight, std=0.01, generator=start)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.dropout(self.backbone.embed(images)))


def freeze_statistics(module: nn.Module) -> None:
    """Puts every batch normalisation into eval mode: its running mean and variance stay as pretrained.

    With small batches of a new domain the running statistics drift away from what the weights were
    trained with, and accuracy falls with them.
    """
    for part in module.modules():
        if isinstance(part, NORMS):
            part.eval()
