"""What a regularizer is."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from studio.core.errors import UsageError
from studio.core.phases import Teacher

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Forward:
    """One batch on its way: images [B, 3, H, W], labels [B] or soft [B, C], features [B, D], logits [B, C]."""

    images: Tensor
    labels: Tensor
    features: Tensor
    logits: Tensor

    def hard_labels(self) -> Tensor:
        """Class indices [B]; of a mixture, its larger part."""
        return self.labels if self.labels.ndim == 1 else self.labels.argmax(dim=1)


class Regularizer:
    """A term beside the loss.

    Made before training, while `classifier.backbone` is still as pretrained: `remember` may copy it. Then
    the method adds what it adds (LoRA, prompts), and `attach` is called. What is trained or changes with
    training goes into `classifier.aids`, so that the optimizer and the resume state have it.
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    default_strength: ClassVar[float]
    #: `start_from` wants the features of the training images under the untouched backbone
    needs_features: ClassVar[bool] = False
    #: batch-norm statistics must move
    moves_statistics: ClassVar[bool] = False

    def __init__(self, classifier: Any, strength: float, seed: int) -> None:
        self.classifier, self.strength, self.seed = classifier, strength, seed
        self.remember()

    def remember(self) -> None:
        """The backbone is untouched still."""

    def attach(self) -> None:
        """The classifier is at its start, with all that the method adds."""

    def start_from(self, features: "np.ndarray", labels: "np.ndarray") -> None:
        """Features [N, D] and labels [N] of the training images, where `needs_features`."""

    def penalty(self, forward: Forward) -> Tensor:
        """The term, a scalar, before it is weighted by `strength`."""
        raise NotImplementedError

    def teachers(self) -> list[Teacher]:
        """Copies within `classifier.aids` that slowly follow a part of it; the loop moves them after each step."""
        return []


class Frozen:
    """A copy of a network as it is now; it learns nothing and is in no state."""

    def __init__(self, network: nn.Module) -> None:
        import copy

        self._network = copy.deepcopy(network).requires_grad_(False).eval()

    def on(self, device: torch.device) -> nn.Module:
        """The copy, on this device."""
        return self._network.to(device)


def source_head(backbone: Any, name: str) -> nn.Linear:
    """A copy of the classifier that the backbone was pretrained with. Raises UsageError where it came without."""
    head = getattr(backbone, "source_head", None)
    if not isinstance(head, nn.Linear):
        raise UsageError(
            f"params.regularizer: {name} needs the classifier that the backbone was pretrained with, and "
            f"{backbone.spec} came without one. l2-sp, delta and bss need none."
        )
    copy = nn.Linear(head.in_features, head.out_features)
    copy.weight.data.copy_(head.weight.detach())
    copy.bias.data.copy_(head.bias.detach() if head.bias is not None else torch.zeros(head.out_features))
    return copy
