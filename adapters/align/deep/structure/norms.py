"""Batch normalisations that know two domains, in the place of those of a network."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from studio.core.errors import UsageError
from studio.device.norms import batch_norms

SOURCE, TARGET = 0, 1


def replace_norms(module: nn.Module, make: Callable[[Any], nn.Module], who: str) -> list[Any]:
    """Puts `make(norm)` in the place of each batch normalisation of a module; the new ones.

    Raises UsageError where it has none; `who` names the method.
    """
    norms = {id(norm) for norm in batch_norms(module)}
    made = []
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if id(child) in norms:
                made.append(make(child))
                setattr(parent, name, made[-1])
    if not made:
        raise UsageError(f"model.backbone: {who} works on batch normalisations, and this network has none.")
    return made


class PerDomain(nn.Module):
    """A batch normalisation for each domain; `domain` says which is used, at first the target's."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norms = nn.ModuleList([copy.deepcopy(norm), copy.deepcopy(norm)])
        self.domain = TARGET

    def forward(self, x: Tensor) -> Tensor:
        return self.norms[self.domain](x)


class Transferable(nn.Module):
    """TransNorm: each domain by its own statistics, one scale and shift, channels weighed by how alike they are.

    In training the batch [2B, C, ...] is the source and then as many of the target, or split at `first`.
    """

    def __init__(self, norm: Any) -> None:
        super().__init__()
        self.norm = norm
        for name in ("source_mean", "target_mean"):
            self.register_buffer(name, norm.running_mean.clone())
        for name in ("source_var", "target_var"):
            self.register_buffer(name, norm.running_var.clone())
        self.first: int | None = None

    def forward(self, x: Tensor) -> Tensor:
        return self._normalized(x.float()).to(x.dtype)  # statistics of halves would be too coarse

    def _normalized(self, x: Tensor) -> Tensor:
        if not self.training:
            statistics = self.target_mean, self.target_var
            alpha = channel_weights(self.source_mean, self.source_var, *statistics, self.norm.eps)
            return self._scaled(x, *statistics, alpha)
        count = len(x) // 2 if self.first is None else self.first
        parts = x[:count], x[count:]
        (source, target) = (_statistics(part) for part in parts)
        self._follow("source", *source)
        self._follow("target", *target)
        alpha = channel_weights(*source, *target, self.norm.eps).detach()
        return torch.cat([self._scaled(part, *one, alpha) for part, one in zip(parts, (source, target), strict=True)])

    def _scaled(self, x: Tensor, mean: Tensor, var: Tensor, alpha: Tensor) -> Tensor:
        shape = [1, -1] + [1] * (x.ndim - 2)
        x = (x - mean.view(shape)) * torch.rsqrt(var.view(shape) + self.norm.eps)
        x = x * self.norm.weight.view(shape) + self.norm.bias.view(shape)
        x = x * (1 + alpha.view(shape))
        return self.norm.act(self.norm.drop(x)) if hasattr(self.norm, "act") else x

    @torch.no_grad()
    def _follow(self, domain: str, mean: Tensor, var: Tensor) -> None:
        share = 0.1 if self.norm.momentum is None else self.norm.momentum
        getattr(self, f"{domain}_mean").lerp_(mean.detach(), share)
        getattr(self, f"{domain}_var").lerp_(var.detach(), share)


def channel_weights(
    source_mean: Tensor, source_var: Tensor, target_mean: Tensor, target_var: Tensor, eps: float
) -> Tensor:
    """alpha [C], mean 1: large where the domains' standardised means are near. Wang et al. 2019, eq. 5-6."""
    distance = (source_mean / (source_var + eps).sqrt() - target_mean / (target_var + eps).sqrt()).abs()
    nearness = 1 / (1 + distance)
    return len(nearness) * nearness / nearness.sum()


def _statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    places = [axis for axis in range(x.ndim) if axis != 1]
    return x.mean(places), x.var(places, unbiased=False)
