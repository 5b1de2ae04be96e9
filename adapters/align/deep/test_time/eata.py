"""EATA: TENT on those images of a batch that are sure, and that say something new."""

import math

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy

from adapters.align.deep.discriminator import entropies
from adapters.align.deep.test_time.base import Online, OnlineParams
from studio.core.registry import register


class EataParams(OnlineParams):
    surest: float = Field(0.4, gt=0, le=1, description="entropy below which an image teaches, as a share of log C")
    similar: float = Field(
        0.05, gt=0, le=2, description="cosine with the mean prediction above which it says nothing new"
    )
    fisher: float = Field(1.0, ge=0, le=1e5, description="weight of the loss that holds what mattered before")


@register("align/eata")
class Eata(Online):
    """Entropy of images with H < E0 that differ from the mean prediction, weighted exp(E0 - H); weights held by Fisher.

    Niu et al. 2022, eq. 2-9. The Fisher values are of the first batch, whose own guesses stand for labels, since no
    images of the source are here.
    """

    title = "EATA"
    paper = "Niu et al. 2022, Efficient Test-Time Model Adaptation without Forgetting"
    Params = EataParams

    _mean: Tensor | None = None  # prediction [C] of the images that taught

    def objective(self, features: Tensor, logits: Tensor) -> dict[str, Tensor]:
        held = self._held(logits)
        chosen, weights = self.informative(logits)
        losses = {"entropy": (weights * entropies(logits.softmax(dim=1))[chosen]).sum() / len(logits)}
        return losses | ({"fisher": self.params.fisher * held} if self.params.fisher else {})

    @torch.no_grad()
    def informative(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of the images that teach, and how much each counts; the mean prediction follows them."""
        probabilities = logits.softmax(dim=1)
        entropy, limit = entropies(probabilities), self.params.surest * math.log(logits.shape[1])
        chosen = entropy < limit
        if self._mean is not None:
            chosen &= cosine_similarity(probabilities, self._mean[None], dim=1) < self.params.similar
        if chosen.any():
            now = probabilities[chosen].mean(dim=0)
            self._mean = now if self._mean is None else 0.9 * self._mean + 0.1 * now
        return chosen, torch.exp(limit - entropy[chosen])

    def _held(self, logits: Tensor) -> Tensor:
        """sum_i F_i (w_i - w_i0)^2 over what moves, F of the first batch."""
        moving = self.moving()
        if not hasattr(self, "_fisher"):
            slopes = torch.autograd.grad(
                cross_entropy(logits, logits.argmax(dim=1)), moving, retain_graph=True, allow_unused=True
            )
            self._fisher = [
                torch.zeros_like(p) if g is None else g.square() for p, g in zip(moving, slopes, strict=True)
            ]
            self._first = [parameter.detach().clone() for parameter in moving]
        pulls = zip(self._fisher, moving, self._first, strict=True)
        return sum((fisher * (now - first).square()).sum() for fisher, now, first in pulls)
