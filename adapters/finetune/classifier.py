"""A backbone with a linear head on it: the module that the fine-tuning methods train."""

import torch
from torch import Tensor, nn

from studio.core.errors import StoreError

AIDS = "aids."  # prefix of what only training needs


class Classifier(nn.Module):
    """images [B, 3, H, W] (normalised) -> logits [B, C].

    `aids` holds what a regularizer trains or remembers: it is in the resume state, but in no checkpoint.
    """

    def __init__(self, backbone: nn.Module, classes: int, dropout: float = 0.0, seed: int = 0) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(backbone.dim, classes)
        self.aids = nn.ModuleDict()
        start = torch.Generator().manual_seed(seed)
        nn.init.trunc_normal_(self.head.weight, std=0.01, generator=start)
        nn.init.zeros_(self.head.bias)

    def embed(self, images: Tensor) -> Tensor:
        """Features [B, D]."""
        return self.backbone(images)

    def classify(self, features: Tensor) -> Tensor:
        """Logits [B, C] of features [B, D]."""
        return self.head(self.dropout(features))

    def forward(self, images: Tensor) -> Tensor:
        return self.classify(self.embed(images))


def whole_state(module: nn.Module) -> dict[str, Tensor]:
    """All tensors but those of `aids`."""
    return {name: tensor for name, tensor in module.state_dict().items() if not name.startswith(AIDS)}


def trained_state(module: nn.Module) -> dict[str, Tensor]:
    """Only the tensors that training moves: what a LoRA, prompt or bias checkpoint holds."""
    return {
        name: parameter.detach()
        for name, parameter in module.named_parameters()
        if parameter.requires_grad and not name.startswith(AIDS)
    }


def load_into(module: nn.Module, state: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    """Loads `state`, which must name the tensors `wanted` and have their shapes. Raises StoreError."""
    odd = sorted(wanted.keys() ^ state.keys())
    odd += sorted(name for name in wanted.keys() & state.keys() if wanted[name].shape != state[name].shape)
    if odd:
        raise StoreError(
            f"The checkpoint does not fit this backbone: {', '.join(odd[:3])} "
            f"{'is' if len(odd) == 1 else 'are'} on one side only, or of another shape."
        )
    module.load_state_dict(state, strict=False)
