"""Memories of a target without labels: a prototype of each cluster, and the loss of an image against all of them."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize


class Memory(nn.Module):
    """Tensors of the target's images by name, kept in the resume state."""

    def __init__(self, **tensors: Tensor) -> None:
        super().__init__()
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor)

    @torch.no_grad()
    def keep(self, **tensors: Tensor) -> None:
        """Puts in what the tensors are now; where they have fewer rows, those come first."""
        for name, tensor in tensors.items():
            held = getattr(self, name)
            held[: len(tensor)] = tensor.detach().to(held)


def contrast(features: Tensor, prototypes: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """-log of the share that the own prototype has among all, [B]. Dai et al. 2021, ClusterNCE; Ge et al. 2020, eq. 1.

    Unit features [B, D], prototypes [K, D], labels [B] the own one of each.
    """
    logits = features @ prototypes.to(features).T / temperature
    return cross_entropy(logits.float(), labels, reduction="none")


def moved(prototypes: Tensor, features: Tensor, labels: Tensor, momentum: float) -> Tensor:
    """Prototypes [K, D] after features [B, D] came one by one: p = m p + (1 - m) f, then of length 1."""
    following = prototypes.clone()
    for feature, label in zip(features.to(following), labels.tolist(), strict=True):
        following[label] = normalize(momentum * following[label] + (1 - momentum) * feature, dim=0)
    return following
