"""A backbone with a linear head on it: the module that the fine-tuning methods train."""

import torch
from torch import Tensor, nn

from studio.core.errors import StoreError

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


def trained_state(module: nn.Module) -> dict[str, Tensor]:
    """Only the tensors that training moves: what a LoRA, prompt or bias checkpoint holds."""
    return {name: parameter.detach() for name, parameter in module.named_parameters() if parameter.requires_grad}


def load_trained_state(module: nn.Module, state: dict[str, Tensor]) -> None:
    """The inverse of `trained_state`. Raises StoreError where the tensors are not those that are trained."""
    wanted = trained_state(module).keys()
    if wanted != state.keys():
        odd = sorted(wanted ^ state.keys())[:3]
        raise StoreError(f"The checkpoint does not fit this backbone: {', '.join(odd)} is on one side only.")
    module.load_state_dict(state, strict=False)
