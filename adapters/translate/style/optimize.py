"""Pixels that are optimised until their features are those that are wanted, by Adam or L-BFGS."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from adapters.translate.style.feature_maps import StyleFeatures
from adapters.translate.style.losses import content_loss, gram, style_loss, total_variation

BETWEEN = 20  # steps of L-BFGS that are remembered, and tried between two looks at whether to stop


@dataclass(frozen=True)
class Weights:
    """What the parts of the loss count."""

    style: float
    content: float
    smooth: float


def optimize_pixels(
    start: Tensor, content: Tensor, grams: Sequence[Tensor], features: StyleFeatures, weights: Weights, steps: int,
    optimizer: Literal["adam", "lbfgs"] = "adam", lr: float = 0.02,
    on_step: Callable[[int, float], None] = lambda step, style: None,
) -> Tensor:  # fmt: skip
    """Images [B, 3, H, W] in 0..1 whose style has the Gram matrices `grams`, and whose content is that of `content`.

    `on_step` is told each step and the mean style loss before it. The loss is a sum over images, so that each is
    optimised as if it were alone.
    """
    with torch.no_grad():
        _, wanted = features(content)
    pixels = start.detach().clone().requires_grad_(True)

    def loss_of() -> tuple[Tensor, float]:
        own, kept = features(pixels)
        style = style_loss([gram(layer) for layer in own], grams)
        total = weights.style * style + weights.content * content_loss(kept, wanted)
        total = total + weights.smooth * total_variation(pixels)
        return total.sum(), float(style.detach().mean())

    if optimizer == "adam":
        _adam(pixels, loss_of, steps, lr, on_step)
    else:
        _lbfgs(pixels, loss_of, steps, on_step)
    return pixels.detach().clamp(0, 1)


def _adam(pixels: Tensor, loss_of: Callable, steps: int, lr: float, on_step: Callable[[int, float], None]) -> None:
    adam = torch.optim.Adam([pixels], lr=lr)
    for step in range(steps):
        loss, style = loss_of()
        on_step(step, style)
        pixels.grad = torch.autograd.grad(loss, pixels)[0]
        adam.step()
        with torch.no_grad():
            pixels.clamp_(0, 1)


def _lbfgs(pixels: Tensor, loss_of: Callable, steps: int, on_step: Callable[[int, float], None]) -> None:
    """Gatys et al. use L-BFGS (section 3); a step here is one look at the loss."""
    done = 0

    def closure() -> Tensor:
        nonlocal done
        loss, style = loss_of()
        on_step(done, style)
        done += 1
        pixels.grad = torch.autograd.grad(loss, pixels)[0]
        return loss

    lbfgs = torch.optim.LBFGS(
        [pixels], lr=1.0, max_iter=BETWEEN, max_eval=BETWEEN, history_size=BETWEEN, line_search_fn="strong_wolfe"
    )
    while done < steps:
        before = done
        lbfgs.step(closure)
        if done - before < 2:  # it has arrived
            break
