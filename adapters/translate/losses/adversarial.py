"""What a discriminator and a generator want of each other, from logits; the penalty on the discriminator's slope."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

Gan = Literal["lsgan", "hinge", "vanilla"]


def real_loss(logits: Tensor, kind: Gan) -> Tensor:
    """What a discriminator minimises on real images, of each logit.

    lsgan (D - 1)^2, Mao et al. 2017, equation 9; hinge max(0, 1 - D), Miyato et al. 2018, equation 16;
    vanilla -log sigmoid(D), Goodfellow et al. 2014, equation 1.
    """
    return {
        "lsgan": lambda: (logits - 1) ** 2,
        "hinge": lambda: relu(1 - logits),
        "vanilla": lambda: softplus(-logits),
    }[kind]()


def fake_loss(logits: Tensor, kind: Gan) -> Tensor:
    """What a discriminator minimises on made images, of each logit: D^2, max(0, 1 + D), -log(1 - sigmoid(D))."""
    return {"lsgan": lambda: logits**2, "hinge": lambda: relu(1 + logits), "vanilla": lambda: softplus(logits)}[kind]()


def fool_loss(logits: Tensor, kind: Gan) -> Tensor:
    """What a generator minimises on what it made: (D - 1)^2, -D, -log sigmoid(D)."""
    return {"lsgan": lambda: (logits - 1) ** 2, "hinge": lambda: -logits, "vanilla": lambda: softplus(-logits)}[kind]()


def r1(discriminator: nn.Module, real: Tensor) -> Tensor:
    """The squared slope of the discriminator at real images, [B]. Mescheder et al. 2018, eq. 9, without gamma / 2."""
    real = real.detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(discriminator(real).sum(), real, create_graph=True)
    return slope.square().flatten(1).sum(1)
